//! Files that import each other in a circle are one piece, whatever its parts are called: nobody can read, test or move one of
//! them alone. In no crate is such a circle larger than three files, and the datapath has none.
//!
//! A test only, over `imports`. It must never have an exception: what fails here is mended by moving a type or a function down.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    imports::{Imports, Modules},
    words::root,
};

/// The files of the largest circle that may be.
const MOST: usize = 3;

/// The circles of more than `most` files, each with its files.
fn circles(imports: &Imports, most: usize) -> BTreeSet<BTreeSet<&str>> {
    let mut next: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in imports.keys() {
        next.entry(from).or_default().push(to);
    }
    let reached = |start: &str| {
        let (mut reached, mut left) = (BTreeSet::new(), next.get(start).cloned().unwrap_or_default());
        while let Some(file) = left.pop() {
            if reached.insert(file) {
                left.extend(next.get(file).into_iter().flatten());
            }
        }
        reached
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> = next.keys().map(|&file| (file, reached(file))).collect();
    let circle_of = |file: &str| -> BTreeSet<&str> {
        let from_here = reached[file].iter().copied();
        from_here.filter(|other| reached.get(other).is_some_and(|from| from.contains(file))).collect()
    };
    reached.keys().map(|file| circle_of(file)).filter(|circle| circle.len() > most).collect()
}

/// What ties the files of a circle, a line for each import.
fn described(circle: &BTreeSet<&str>, imports: &Imports) -> String {
    let mut text = format!("a circle of {} files: {circle:?}", circle.len());
    for ((from, to), names) in imports {
        if circle.contains(from.as_str()) && circle.contains(to.as_str()) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            write!(text, "\n  {from} -> {to}: {}", names.join(", ")).unwrap();
        }
    }
    text
}

/// The files below `folder`, by their paths in it.
fn sources(folder: &Path) -> BTreeMap<String, String> {
    let (mut files, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(inner).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                files.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    files
}

/// The folders of the crates that run, with the largest circle that each may have.
fn crates() -> Vec<(PathBuf, usize)> {
    let of_user_space = fs::read_dir(root().join("sg-userspace")).unwrap();
    let mut crates: Vec<_> = of_user_space.map(|entry| (entry.unwrap().path(), MOST)).collect();
    crates.push((root().join("sg-common"), MOST));
    // Each file of it is a stage, and each stage is verified by itself.
    crates.push((root().join("sg-ebpf"), 1));
    crates.sort();
    crates
}

#[test]
fn no_circle_of_files_is_larger_than_three() {
    let (mut files, mut found) = (0, Vec::new());
    for (folder, most) in crates() {
        let sources = sources(&folder.join("src"));
        let roots = ["lib.rs", "main.rs"].into_iter().filter(|root| sources.contains_key(*root));
        for root in roots {
            let modules = Modules::of(root, &sources);
            let imports = modules.imports();
            files += modules.files().len();
            for circle in circles(&imports, most) {
                found.push(format!("{}: {}", folder.display(), described(&circle, &imports)));
            }
        }
    }
    assert!(files > 300, "only {files} files");
    assert!(found.is_empty(), "{}", found.join("\n\n"));
}

#[test]
fn what_the_datapath_imports_is_seen() {
    let sources = sources(&root().join("sg-ebpf/src"));
    let imports = Modules::of("main.rs", &sources).imports();
    for [from, to] in [["hook/tc.rs", "frame.rs"], ["maps.rs", "scratch.rs"]] {
        assert!(imports.contains_key(&(from.to_owned(), to.to_owned())), "{from} -> {to}: {imports:?}");
    }
}

/// The circles of more than three files in a crate.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let sources = files.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect();
    let imports = Modules::of("lib.rs", &sources).imports();
    circles(&imports, MOST).iter().map(|circle| described(circle, &imports)).collect()
}

#[test]
fn a_circle_of_four_is_found_and_one_of_three_is_not() {
    let root = ("lib.rs", "mod a; mod b; mod c; mod d;");
    let four = [
        root,
        ("a.rs", "use super::b::B; struct A(B);"),
        ("b.rs", "use crate::{other::X, c::{self, C,},}; struct B(C);"),
        ("c.rs", "fn c() { super::d::D::new(); } pub struct C;"),
        ("d.rs", "pub(in crate::b) struct D; fn d() { vec![crate::a::A(1)]; }"),
    ];
    let found_four = found(&four);
    let [circle] = &found_four[..] else { panic!("{found_four:?}") };
    assert_eq!(
        circle,
        "a circle of 4 files: {\"a.rs\", \"b.rs\", \"c.rs\", \"d.rs\"}\n  a.rs -> b.rs: B\n  b.rs -> c.rs: C, c\n  \
         c.rs -> d.rs: new\n  d.rs -> a.rs: A"
    );
    let mut three = four;
    three[3] = ("c.rs", "fn c() { super::a::A::new(); } pub struct C;");
    assert_eq!(found(&three), [""; 0]);
}

#[test]
fn imports_of_tests_and_visibilities_do_not_count() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c; mod d; #[cfg(test)] mod tests;"),
        ("a.rs", "use super::b::B;"),
        ("b.rs", "use super::c::C;"),
        ("c.rs", "use super::d::D;"),
        (
            "d.rs",
            "#[cfg(test)] use super::a::A;
             #[cfg(test)] mod tests { use super::super::a::A; fn t() { crate::a::A::new(); } }
             fn d() { #[cfg(test)] crate::a::note(1, 2); let x = X { #[cfg(test)] y: crate::a::y(), z: 1 }; }
             pub(in crate::a) struct D; // crate::a::A",
        ),
    ];
    assert_eq!(found(&files), [""; 0]);
    let mut circle = files;
    let text = format!("{}\nfn e() {{ crate::a::A::new(); }}", files[4].1);
    circle[4].1 = &text;
    assert_eq!(found(&circle).len(), 1, "what follows test code is seen");
}

#[test]
fn what_a_parent_hands_on_is_of_the_file_that_defines_it() {
    let files = [
        ("lib.rs", "mod x; pub use x::{A, B as Other, c};"),
        ("x/mod.rs", "mod a; mod b; mod c; pub use a::A; pub(crate) use self::b::B; pub use c::c;"),
        ("x/a.rs", "use super::B; pub struct A(B);"),
        ("x/b.rs", "use crate::c; pub struct B;"),
        ("x/c.rs", "use crate::x; fn c() { x::d(); }"),
    ];
    assert_eq!(found(&files), [""; 0], "d is of x/mod.rs, which only hands on");
    let mut circle = files;
    circle[1].1 =
        "mod a; mod b; mod c; pub use a::A; pub(crate) use self::b::B; pub use c::c; pub fn d() -> A {}";
    assert_eq!(found(&circle).len(), 1, "now x/mod.rs uses what it hands on");
    let mut without = files;
    without[4].1 = "use crate::Other; fn c(other: Other) {}";
    assert_eq!(found(&without), [""; 0], "b and c only");
}
