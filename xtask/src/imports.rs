//! Which file of a crate imports which, read from its text.
//!
//! A test only; `circles` asks. An import is a `use`, or a path in code or in a macro (`super::x::y`), whose name is defined in
//! another file of the crate. A name that a parent hands on (`pub use x::T`) is of the file that defines it, and handing on
//! alone imports nothing. Test code does not count. What a method of a type imports is seen in the file of the method only: no
//! text names the file that a call leads to. This must never build or run what it reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A pair of files, the first of which imports the second, and the names.
pub(crate) type Imports = BTreeMap<(String, String), BTreeSet<String>>;

/// The segments of a path.
type Segments = Vec<String>;

/// A module: a file, or a block in one.
#[derive(Default)]
struct Module {
    file: String,
    parent: usize,
    children: BTreeMap<String, usize>,
    /// What is named by `use`: paths by their names in this module.
    uses: BTreeMap<String, Segments>,
    /// The paths of each `pub use`.
    handed_on: Vec<Segments>,
    /// What `use path::*` names.
    globs: Vec<Segments>,
    /// All other paths in its code, those of one segment included.
    paths: BTreeSet<Segments>,
}

/// Where a path leads.
enum Target<'a> {
    Module(usize),
    /// Something that this file defines.
    Item(&'a str),
    /// Another crate, or a local name.
    Elsewhere,
}

/// The modules of a crate, from its root on.
pub(crate) struct Modules<'a> {
    /// Files by their paths in the folder of the root.
    sources: &'a BTreeMap<String, String>,
    all: Vec<Module>,
}

impl<'a> Modules<'a> {
    /// Reads the crate whose root is the file `root`.
    pub(crate) fn of(root: &str, sources: &'a BTreeMap<String, String>) -> Self {
        let mut modules = Self { sources, all: Vec::new() };
        modules.all.push(Module { file: root.to_owned(), ..Module::default() });
        modules.read(0, Path::new(""));
        modules
    }

    /// The files of the crate that are not tests.
    pub(crate) fn files(&self) -> BTreeSet<&str> {
        self.all.iter().map(|module| module.file.as_str()).collect()
    }

    /// All imports of one file by another.
    pub(crate) fn imports(&self) -> Imports {
        let mut imports = Imports::new();
        for (id, module) in self.all.iter().enumerate() {
            let is_of_a_child = |path: &&Segments| {
                let mut names = path.iter().skip_while(|segment| *segment == "self");
                names.next().is_some_and(|first| module.children.contains_key(first))
            };
            let handed_on = module.handed_on.iter().filter(|path| !is_of_a_child(path));
            for path in handed_on.chain(&module.paths) {
                // What is used of a module that is named has a path of its own.
                if let Target::Item(file) = self.resolve(id, path, 0) {
                    note(&mut imports, &module.file, file, path.last());
                }
            }
            let of_modules = module.uses.iter().filter(|(_, path)| !module.handed_on.contains(path));
            for (name, path) in of_modules {
                // A macro of another file may use it.
                let is_named = |path: &Segments| path.len() > 1 && path[0] == *name;
                if let Target::Module(other) = self.resolve(id, path, 0)
                    && !module.paths.iter().any(is_named)
                {
                    note(&mut imports, &module.file, &self.all[other].file, Some(name));
                }
            }
            for path in &module.globs {
                match self.resolve(id, path, 0) {
                    Target::Module(other) => note(&mut imports, &module.file, &self.all[other].file, None),
                    Target::Item(file) => note(&mut imports, &module.file, file, None),
                    Target::Elsewhere => {}
                }
            }
        }
        imports
    }

    /// Follows a path that stands in the module `from`; `depth` is the number of `use` that it went through.
    fn resolve(&self, from: usize, path: &[String], depth: usize) -> Target<'_> {
        const DEEPEST: usize = 16;
        if depth > DEEPEST {
            return Target::Elsewhere;
        }
        let mut at = from;
        for (position, segment) in path.iter().enumerate() {
            let module = &self.all[at];
            at = match segment.as_str() {
                "crate" => 0,
                "self" => at,
                "super" => module.parent,
                name => match (module.children.get(name), module.uses.get(name)) {
                    // A path ends at a function `x` rather than at a module `x`.
                    (Some(&child), None) => child,
                    (Some(&child), Some(_)) if position + 1 < path.len() => child,
                    // `use name;` makes a macro or a crate visible as what it is.
                    (_, Some(path)) if *path != [name] => {
                        match self.resolve(at, path, depth + 1) {
                            Target::Module(module) => module,
                            Target::Elsewhere if position == 0 => return Target::Elsewhere,
                            // Of another crate, but taken from this file.
                            Target::Elsewhere => return Target::Item(&module.file),
                            item @ Target::Item(_) => return item,
                        }
                    }
                    _ if position == 0 => return Target::Elsewhere,
                    _ => return Target::Item(&module.file),
                },
            };
        }
        Target::Module(at)
    }

    /// Reads the file of a module. `folder` is where files of its children lie.
    fn read(&mut self, id: usize, folder: &Path) {
        let file = self.all[id].file.clone();
        let text = self.sources.get(&file).unwrap_or_else(|| panic!("no file {file}"));
        let tokens = text.parse().unwrap_or_else(|error| panic!("{file}: {error}"));
        self.scan(id, folder, tokens);
    }

    fn scan(&mut self, id: usize, folder: &Path, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            let rest = &tokens[at..];
            match token {
                TokenTree::Punct(mark) if mark.as_char() == '#' && is_test(rest) => {
                    at += 1 + length(&rest[1..]);
                }
                // `::std::fs` and the end of `<T as Trait>::f` name nothing here.
                TokenTree::Punct(_) if is_colons(&tokens[at - 1..]) => {
                    at += 1 + usize::from(word(tokens.get(at + 1)).is_some());
                }
                TokenTree::Group(group) if !is_visibility(&tokens[..at]) => {
                    self.scan(id, folder, group.stream());
                }
                TokenTree::Ident(_) => match (word(Some(token)).as_deref(), word(rest.first())) {
                    (Some("mod"), Some(name)) => {
                        let block = rest.get(1).cloned();
                        self.child(id, folder, name, block);
                        at += 2;
                    }
                    // Not the `use<'a>` of a type.
                    (Some("use"), next)
                        if next.is_some() || matches!(rest.first(), Some(TokenTree::Group(_))) =>
                    {
                        let end = rest.iter().take_while(|token| !is_mark(token, ';')).count();
                        let is_public = word(at.checked_sub(2).map(|before| &tokens[before])).as_deref()
                            == Some("pub")
                            || is_visibility(&tokens[..at - 1]);
                        self.tree(id, is_public, &[], &rest[..end]);
                        at += end;
                    }
                    _ => {
                        let path = path(&tokens[at - 1..]);
                        at += 3 * (path.len() - 1);
                        if path.len() > 1 || is_used(&tokens[..at], tokens.get(at)) {
                            self.all[id].paths.insert(path);
                        }
                    }
                },
                _ => {}
            }
        }
    }

    /// Adds the module `name`, in a block or in a file.
    fn child(&mut self, parent: usize, folder: &Path, name: String, block: Option<TokenTree>) {
        let id = self.all.len();
        let inner = folder.join(&name);
        self.all[parent].children.insert(name, id);
        let mut module = Module { file: self.all[parent].file.clone(), parent, ..Module::default() };
        if let Some(TokenTree::Group(block)) = block {
            self.all.push(module);
            self.scan(id, &inner, block.stream());
            return;
        }
        let files = [inner.with_extension("rs"), inner.join("mod.rs")].map(|file| file.display().to_string());
        let file = files.into_iter().find(|file| self.sources.contains_key(file));
        module.file = file.unwrap_or_else(|| panic!("no file of the module {}", inner.display()));
        self.all.push(module);
        self.read(id, &inner);
    }

    /// Adds the names of the tree of a `use`, whose beginning is `prefix`.
    fn tree(&mut self, id: usize, is_public: bool, prefix: &[String], tokens: &[TokenTree]) {
        for part in tokens.split(|token| is_mark(token, ',')) {
            if part.is_empty() || is_colons(part) {
                // After the last comma; `::std::fs`.
                continue;
            }
            let (mut path, mut name) = (prefix.to_vec(), None);
            let mut part = part.iter();
            while let Some(token) = part.next() {
                match token {
                    TokenTree::Group(group) => {
                        let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
                        self.tree(id, is_public, &path, &tokens);
                        path.clear();
                    }
                    TokenTree::Punct(mark) if mark.as_char() == '*' => {
                        self.all[id].globs.push(std::mem::take(&mut path));
                    }
                    _ => match word(Some(token)) {
                        Some(word) if word == "as" => name = part.next().map(ToString::to_string),
                        // `x::{self}` is `x`.
                        Some(word) if word == "self" && !path.is_empty() => {}
                        Some(word) => path.push(word),
                        None => {}
                    },
                }
            }
            let Some(last) = path.last() else { continue };
            let name = name.unwrap_or_else(|| last.clone());
            let module = &mut self.all[id];
            if is_public {
                module.handed_on.push(path.clone());
            } else {
                module.paths.insert(path.clone());
            }
            module.uses.insert(name, path);
        }
    }
}

fn note(imports: &mut Imports, from: &str, to: &str, name: Option<&String>) {
    if from != to {
        let name = name.map_or("*", String::as_str).to_owned();
        imports.entry((from.to_owned(), to.to_owned())).or_default().insert(name);
    }
}

fn is_mark(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == mark)
}

/// Whether `::` is next.
fn is_colons(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [first, second, ..] if is_mark(first, ':') && is_mark(second, ':'))
}

fn word(token: Option<&TokenTree>) -> Option<String> {
    match token {
        Some(TokenTree::Ident(word)) => Some(word.to_string()),
        _ => None,
    }
}

/// Whether the name that is the last of `tokens` is a type, a constant or a call, and not a field, a method or a variable.
fn is_used(tokens: &[TokenTree], next: Option<&TokenTree>) -> bool {
    let (before, name) = match tokens {
        [.., before, name] => (Some(before), Some(name)),
        rest => (None, rest.last()),
    };
    let is_named = before.is_some_and(|before| is_mark(before, '.')) || word(before).as_deref() == Some("fn");
    let is_capital = word(name).is_some_and(|name| name.starts_with(char::is_uppercase));
    let is_called = matches!(next, Some(TokenTree::Group(_))) || next.is_some_and(|next| is_mark(next, '!'));
    is_capital || is_called && !is_named
}

/// The path that begins here, with a name.
fn path(tokens: &[TokenTree]) -> Segments {
    let mut path: Segments = word(tokens.first()).into_iter().collect();
    let mut rest = &tokens[1..];
    while is_colons(rest)
        && let Some(segment) = word(rest.get(2))
    {
        path.push(segment);
        rest = &rest[3..];
    }
    path
}

/// Whether the last of `tokens` is the `(super)` of `pub(super)`.
fn is_visibility(tokens: &[TokenTree]) -> bool {
    let parenthesis = |token: &TokenTree| matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis);
    match tokens {
        [.., before, last] => word(Some(before)).as_deref() == Some("pub") && parenthesis(last),
        _ => false,
    }
}

/// Whether the attribute that begins after a `#` is `[cfg(test)]`.
fn is_test(tokens: &[TokenTree]) -> bool {
    tokens.first().is_some_and(|attribute| attribute.to_string().replace(' ', "") == "[cfg(test)]")
}

/// The number of tokens of the item, statement, field or value that begins here, with its attributes.
fn length(tokens: &[TokenTree]) -> usize {
    // These end with a `;`, the others may end with a block.
    const STATEMENTS: [&str; 4] = ["use", "let", "static", "type"];
    let words = tokens.iter().map_while(|token| match token {
        TokenTree::Ident(word) => Some(word.to_string()),
        TokenTree::Punct(_) | TokenTree::Group(_) => Some(String::new()),
        TokenTree::Literal(_) => None,
    });
    let first = words.filter(|word| !word.is_empty() && word != "pub").take(2).collect::<Vec<_>>();
    let first: Vec<&str> = first.iter().map(String::as_str).collect();
    let is_statement = match first[..] {
        ["const", next] => next != "fn" && next != "unsafe",
        [first, ..] => STATEMENTS.contains(&first),
        [] => false,
    };
    let is_item = matches!(
        first[..],
        ["fn" | "struct" | "enum" | "impl" | "trait" | "mod" | "const" | "unsafe" | "async", ..]
    );
    let ends = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace && !is_statement,
        TokenTree::Punct(mark) => mark.as_char() == ';' || mark.as_char() == ',' && !is_statement && !is_item,
        _ => false,
    };
    tokens.iter().position(ends).map_or(tokens.len(), |last| last + 1)
}
