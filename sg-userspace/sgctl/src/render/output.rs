//! Output: objects in the requested format on standard output; remarks and questions for people on standard error.

use std::{
    env,
    io::{self, IsTerminal as _, Write},
    os::fd::AsFd as _,
    path::Path,
};

use anyhow::anyhow;
use clap::Args;
use dialoguer::{Input, theme::SimpleTheme};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;
use sg_model::text::{escaped, escaped_json, escaped_lines, is_invisible};

use crate::{
    args::common::{Format, OutputArgs},
    failure::Failure,
    file,
    names::Names,
    render::{
        column::{Render, cell},
        paint::{paint, style_of},
        progress::Progress,
        table::{self, Rows},
    },
    stderr::say,
};

/// Where a command prints.
pub(crate) struct Output<'a> {
    pub(crate) out: &'a mut dyn Write,
    pub(crate) format: Format,
    args: OutputArgs,
    pub(crate) colour: bool,
    /// Whether standard error is a terminal.
    pub(crate) watched: bool,
    /// Whether there is a user to confirm.
    pub(crate) person: bool,
}

impl<'a> Output<'a> {
    /// Prints to `out`, which stands for standard output.
    pub(crate) fn new(args: &OutputArgs, out: &'a mut dyn Write) -> Result<Self, Failure> {
        let format = args.format();
        if !format.is_table() && (args.chooses_columns() || args.no_headers) {
            return Err(Failure::input(anyhow!(
                "--columns, --sort and --no-headers are for tables: of JSON, `jq` selects fields"
            )));
        }
        let watched = io::stderr().is_terminal();
        let person = watched && io::stdin().is_terminal();
        let terminal = io::stdout().is_terminal();
        Ok(Self { out, format, args: args.clone(), colour: colour(terminal), watched, person })
    }

    /// Prints a table, with the columns and in the order that the arguments choose.
    pub(crate) fn table(&mut self, mut rows: Rows) -> Result<(), Failure> {
        if let Some(column) = &self.args.sort {
            rows.sort(column)?;
        }
        if !self.args.columns.is_empty() {
            rows = rows.choose(&self.args.columns)?;
        }
        let text = rows.text(!self.args.no_headers, self.colour);
        self.text(&text)
    }

    /// Refuses flags that choose from a table, for a command that prints none.
    pub(crate) fn without_table(&self) -> Result<(), Failure> {
        if self.args.chooses_columns() || self.args.no_headers {
            return Err(Failure::input(anyhow!(
                "--columns, --sort and --no-headers are for tables, and this command prints none"
            )));
        }
        Ok(())
    }

    /// Whether columns or their order were chosen.
    pub(crate) const fn chooses_columns(&self) -> bool {
        self.args.chooses_columns()
    }

    /// Prints tables with different columns, which therefore cannot be chosen.
    pub(crate) fn tables(&mut self, tables: Vec<Rows>) -> Result<(), Failure> {
        if self.args.chooses_columns() {
            return Err(Failure::input(anyhow!(
                "--columns and --sort are for commands that print one table; with --json, `jq` selects fields"
            )));
        }
        let texts = tables.into_iter().map(|rows| rows.text(!self.args.no_headers, self.colour));
        let text = texts.collect::<Vec<_>>().join("\n");
        self.text(&text)
    }

    /// Prints one object.
    pub(crate) fn one<T: Render>(&mut self, thing: &T, names: &Names) -> Result<(), Failure> {
        match self.format {
            Format::Table | Format::Wide => {
                let text = table::one(thing, names, &self.args.columns, self.colour)?;
                self.text(&text)
            }
            Format::Json | Format::Yaml => self.data(thing),
            Format::Name => self.line(&thing.id()),
        }
    }

    /// Prints several objects.
    pub(crate) fn many<T: Render>(&mut self, things: &[T], names: &Names) -> Result<(), Failure> {
        match self.format {
            Format::Table | Format::Wide if things.is_empty() => {
                // Not on standard output: whoever counts its lines counts none.
                self.remark(&format!("no {}", plural(T::NOUN)));
                Ok(())
            }
            Format::Table | Format::Wide => self.table(Rows::of(things, names, self.format == Format::Wide)),
            Format::Json | Format::Yaml => self.data(&things),
            Format::Name => things.iter().try_for_each(|thing| self.line(&thing.id())),
        }
    }

    /// Reports a change of an object.
    pub(crate) fn done<T: Render>(&mut self, done: &str, thing: &T) -> Result<(), Failure> {
        match self.format {
            Format::Table | Format::Wide => {
                let name = thing.name().filter(|name| !name.is_empty());
                let name = name.map(|name| format!(" ({})", cell(name))).unwrap_or_default();
                self.line(&format!("{done} {} {}{name}", T::NOUN, thing.id()))
            }
            Format::Json | Format::Yaml | Format::Name => self.one(thing, &Names::default()),
        }
    }

    /// Reports a change of several objects.
    pub(crate) fn done_all<T: Render>(&mut self, done: &str, things: &[T]) -> Result<(), Failure> {
        match self.format {
            Format::Table | Format::Wide => things.iter().try_for_each(|thing| self.done(done, thing)),
            Format::Json | Format::Yaml | Format::Name => self.many(things, &Names::default()),
        }
    }

    /// Reports a change by the objects' ids.
    pub(crate) fn done_ids(&mut self, done: &str, noun: &str, ids: &[String]) -> Result<(), Failure> {
        match self.format {
            Format::Table | Format::Wide => {
                ids.iter().try_for_each(|id| self.line(&format!("{done} {noun} {id}")))
            }
            Format::Json | Format::Yaml => self.data(&ids),
            Format::Name => ids.iter().try_for_each(|id| self.line(id)),
        }
    }

    /// Writes a value for programs, as JSON or YAML.
    pub(crate) fn data(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        if self.format == Format::Yaml {
            let text = serde_saphyr::to_string(value).map_err(Failure::other)?;
            if !text.chars().any(|letter| letter != '\n' && is_invisible(letter)) {
                return self.text(&text);
            }
            // JSON is YAML, too, and writes in ASCII what a terminal must not get.
        }
        let text = serde_json::to_string_pretty(value).map_err(Failure::other)?;
        self.text(&escaped_json(&text))?;
        self.text("\n")
    }

    /// Writes a text unchanged.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        Ok(self.out.write_all(text.as_bytes())?)
    }

    /// Writes a file, or to standard output without a path.
    pub(crate) fn file(&mut self, path: Option<&Path>, bytes: &[u8]) -> Result<(), Failure> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else {
            return match str::from_utf8(bytes) {
                Ok(text) if io::stdout().is_terminal() => self.text(&escaped_lines(text)),
                _ => Ok(self.out.write_all(bytes)?),
            };
        };
        file::write(path, bytes)?;
        self.remark(&format!("wrote {}", path.display()));
        Ok(())
    }

    /// A text in the colour of a word, if colours are enabled.
    pub(crate) fn paint_as(&self, word: &str, text: &str) -> String {
        match style_of(word) {
            Some(style) if self.colour => paint(text, style),
            _ => text.to_owned(),
        }
    }

    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failure> {
        self.painted(&escaped(line))
    }

    /// Writes a line with colours: its parts are escaped already.
    pub(crate) fn painted(&mut self, line: &str) -> Result<(), Failure> {
        Ok(writeln!(self.out, "{line}")?)
    }

    /// Whether remarks are printed.
    pub(crate) const fn remarks(&self) -> bool {
        !self.format.is_data()
    }

    /// Prints a remark for people, which is no part of the output.
    pub(crate) fn remark(&self, text: &str) {
        if self.remarks() {
            say(&format!("sgctl: {}", escaped_lines(text)));
        }
    }

    /// Asks for confirmation of a destructive change. Without a user to ask, the arguments must confirm it.
    pub(crate) fn confirm(&mut self, question: &str, yes: bool) -> Result<(), Failure> {
        if yes {
            return Ok(());
        }
        if !self.person {
            return Err(Failure::input(anyhow!(
                "{question} Refusing without confirmation: stdin is not a terminal. Pass --yes."
            )));
        }
        self.out.flush()?;
        // Of the prompts that dialoguer has, `Input` leaves the cursor visible: Ctrl-C ends the process while it is shown.
        let asked = Input::<String>::with_theme(&SimpleTheme)
            .with_prompt(format!("{} [y/N]", escaped(question)))
            .allow_empty(true)
            .report(false)
            .validate_with(|input: &String| match is_yes(input) {
                Some(_) => Ok(()),
                None => Err("yes or no?"),
            })
            .interact();
        match asked.map(|input| is_yes(&input)) {
            Ok(Some(true)) => Ok(()),
            Ok(_) => Err(Failure::other(anyhow!("nothing was changed"))),
            Err(dialoguer::Error::IO(error)) => Err(Failure::other(anyhow!(error).context("asking"))),
        }
    }

    /// Shows progress during a piece of work, if standard error is a terminal.
    pub(crate) fn progress(&self, what: impl Into<String>) -> Progress {
        Progress::new(what.into(), self.watched, None)
    }

    /// The same, for a large transfer, of which `said` says what to show.
    pub(crate) fn progress_of(
        &self,
        what: &str,
        said: impl Fn() -> Option<String> + Send + 'static,
    ) -> Progress {
        Progress::new(what.to_owned(), self.watched, Some(Box::new(said)))
    }
}

/// Whether the reader of standard output has left: while nothing is written, nothing fails.
pub(crate) fn is_read_by_nobody() -> bool {
    let stdout = io::stdout();
    let mut polled = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    let found = poll(&mut polled, PollTimeout::ZERO).is_ok_and(|count| count > 0);
    found
        && polled[0].revents().is_some_and(|found| found.intersects(PollFlags::POLLERR | PollFlags::POLLHUP))
}

/// The meaning of a reply to a question; none: unclear.
fn is_yes(input: &str) -> Option<bool> {
    match input.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Some(true),
        "" | "n" | "no" => Some(false),
        _ => None,
    }
}

/// Whether to use colours (no-color.org: any value but an empty one means no).
pub(crate) fn colour(terminal: bool) -> bool {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    terminal && set("NO_COLOR").is_none() && set("TERM").is_none_or(|terminal| terminal != "dumb")
}

pub(crate) fn plural(noun: &str) -> String {
    format!("{noun}s")
}

pub(crate) fn count(number: usize, noun: &str) -> String {
    let noun = if number == 1 { noun.to_owned() } else { plural(noun) };
    format!("{number} {noun}")
}

/// Whether somebody confirmed beforehand.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Yes {
    /// Do not ask for confirmation.
    #[arg(short, long)]
    pub(crate) yes: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for (input, meaning) in [
            ("y", Some(true)),
            (" YES ", Some(true)),
            ("", Some(false)),
            ("No", Some(false)),
            ("maybe", None),
        ] {
            assert_eq!(is_yes(input), meaning, "{input:?}");
        }
    }
}
