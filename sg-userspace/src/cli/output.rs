//! What is said: things in the form that was asked for, on the output; remarks and questions to people beside it.

use std::{
    env,
    io::{self, IsTerminal as _, Write},
    path::Path,
    time::Duration,
};

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use dialoguer::{Confirm, theme::SimpleTheme};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{
    failure::Failure,
    file,
    names::Names,
    table::{self, Shown},
};

/// The form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A table for people.
    Table,
    /// A table with everything that fits into one.
    Wide,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// Ids only, one a line.
    Name,
}

impl Format {
    /// Whether people read it.
    pub(super) const fn is_table(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }

    /// Whether a program reads it.
    pub(super) const fn is_data(self) -> bool {
        matches!(self, Self::Json | Self::Yaml)
    }
}

/// Where everything is said.
pub(super) struct Output<'a> {
    pub(super) out: &'a mut dyn Write,
    pub(super) format: Format,
    pub(super) colour: bool,
    /// Whether somebody sees the error output.
    pub(super) watched: bool,
    /// Whether somebody sits there who can be asked.
    pub(super) person: bool,
}

impl<'a> Output<'a> {
    /// To `out`, which stands for the standard output.
    pub(super) fn new(format: Format, out: &'a mut dyn Write) -> Self {
        let watched = io::stderr().is_terminal();
        let person = watched && io::stdin().is_terminal();
        Self { out, format, colour: colour(io::stdout().is_terminal()), watched, person }
    }

    /// Shows one thing.
    pub(super) fn one<T: Shown>(&mut self, thing: &T, names: &Names) -> Result<(), Failure> {
        match self.format {
            Format::Table | Format::Wide => self.text(&table::one(thing, names, self.colour)),
            Format::Json | Format::Yaml => self.data(thing),
            Format::Name => self.line(&thing.id()),
        }
    }

    /// Shows many.
    pub(super) fn many<T: Shown>(&mut self, things: &[T], names: &Names) -> Result<(), Failure> {
        match self.format {
            Format::Table | Format::Wide if things.is_empty() => {
                // Not on the output: whoever counts its lines counts none.
                self.remark(&format!("no {}", plural(T::NOUN)));
                Ok(())
            }
            Format::Table | Format::Wide => {
                self.text(&table::many(things, names, self.format == Format::Wide, self.colour))
            }
            Format::Json | Format::Yaml => self.data(&things),
            Format::Name => things.iter().try_for_each(|thing| self.line(&thing.id())),
        }
    }

    /// Says that something was done with a thing.
    pub(super) fn done<T: Shown>(&mut self, done: &str, thing: &T) -> Result<(), Failure> {
        match self.format {
            Format::Table | Format::Wide => {
                let name = thing.name().filter(|name| !name.is_empty());
                let name = name.map(|name| format!(" ({})", table::cell(name))).unwrap_or_default();
                self.line(&format!("{done} {} {}{name}", T::NOUN, thing.id()))
            }
            Format::Json | Format::Yaml | Format::Name => self.one(thing, &Names::default()),
        }
    }

    /// Says that something was done with several things.
    pub(super) fn done_all<T: Shown>(&mut self, done: &str, things: &[T]) -> Result<(), Failure> {
        match self.format {
            Format::Table | Format::Wide => things.iter().try_for_each(|thing| self.done(done, thing)),
            Format::Json | Format::Yaml | Format::Name => self.many(things, &Names::default()),
        }
    }

    /// Says which ids something was done with.
    pub(super) fn done_ids(&mut self, done: &str, noun: &str, ids: &[String]) -> Result<(), Failure> {
        match self.format {
            Format::Table | Format::Wide => {
                ids.iter().try_for_each(|id| self.line(&format!("{done} {noun} {id}")))
            }
            Format::Json | Format::Yaml => self.data(&ids),
            Format::Name => ids.iter().try_for_each(|id| self.line(id)),
        }
    }

    /// Writes a value for programs, as JSON or YAML.
    pub(super) fn data(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        if self.format == Format::Yaml {
            let text = serde_saphyr::to_string(value).map_err(Failure::other)?;
            return self.text(&text);
        }
        serde_json::to_writer_pretty(&mut *self.out, value).map_err(io::Error::from)?;
        Ok(writeln!(self.out)?)
    }

    /// Writes a text.
    pub(super) fn text(&mut self, text: &str) -> Result<(), Failure> {
        Ok(self.out.write_all(text.as_bytes())?)
    }

    /// Writes a file, or to the output where there is none.
    pub(super) fn file(&mut self, path: Option<&Path>, text: &str) -> Result<(), Failure> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else { return self.text(text) };
        file::write(path, text.as_bytes())?;
        self.remark(&format!("wrote {}", path.display()));
        Ok(())
    }

    /// A text in the colour of a word, where there are colours.
    pub(super) fn paint_as(&self, word: &str, text: &str) -> String {
        match table::style_of(word) {
            Some(style) if self.colour => table::paint(text, style),
            _ => text.to_owned(),
        }
    }

    /// Writes a line.
    pub(super) fn line(&mut self, line: &str) -> Result<(), Failure> {
        Ok(writeln!(self.out, "{line}")?)
    }

    /// Says something to people that is no part of the output.
    pub(super) fn remark(&self, text: &str) {
        if !self.format.is_data() {
            eprintln!("sgctl: {text}");
        }
    }

    /// Asks whether to go on, where something is lost by it. Where nobody can be asked the answer has to be in the
    /// arguments.
    pub(super) fn confirm(&mut self, question: &str, yes: bool) -> Result<(), Failure> {
        if yes {
            return Ok(());
        }
        if !self.person {
            let why = "nobody can be asked here: say --yes if it is meant";
            return Err(Failure::input(anyhow!("{question} {why}")));
        }
        self.out.flush()?;
        let asked = Confirm::with_theme(&SimpleTheme).with_prompt(question).default(false).interact();
        match asked {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::other(anyhow!("nothing was changed"))),
            Err(dialoguer::Error::IO(error)) => Err(Failure::other(anyhow!(error).context("asking"))),
        }
    }

    /// Something that moves while work is under way, where somebody sees it.
    pub(super) fn progress(&self, what: impl Into<String>) -> ProgressBar {
        if !self.watched {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new_spinner().with_message(what.into());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }
}

/// Whether to use colours (no-color.org: any value but an empty one means no).
fn colour(terminal: bool) -> bool {
    let said = |name| env::var_os(name).filter(|value| !value.is_empty());
    terminal && said("NO_COLOR").is_none() && said("TERM").is_none_or(|terminal| terminal != "dumb")
}

/// More than one of a noun.
pub(super) fn plural(noun: &str) -> String {
    format!("{noun}s")
}

/// A number of things.
pub(super) fn count(number: usize, noun: &str) -> String {
    let noun = if number == 1 { noun.to_owned() } else { plural(noun) };
    format!("{number} {noun}")
}

/// Whether somebody confirmed beforehand.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Yes {
    /// Do not ask.
    #[arg(short, long)]
    pub(super) yes: bool,
}
