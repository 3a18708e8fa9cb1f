//! What every verb has: the server, the format of what is said, and the person who may be asked.

use std::{
    env,
    io::{self, IsTerminal as _, Write},
    path::PathBuf,
    time::Duration,
};

use anyhow::anyhow;
use clap::{Args, ValueEnum, builder::NonEmptyStringValueParser, value_parser};
use dialoguer::{Confirm, theme::SimpleTheme};
use hyper::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    address::Address,
    client::{Call, Client},
    failure::Failure,
    table::{self, Shown},
};
use crate::agent::Instance;

const HEADING: &str = "Options of every command";

/// Where the server is, and how to say what it answers.
#[derive(Clone, Debug, Args)]
pub(super) struct Common {
    /// The socket of `sgd serve` [default: that of --agent].
    #[arg(long, global = true, value_name = "PATH", env = "SGCTL_SOCKET", help_heading = HEADING)]
    pub(super) socket: Option<PathBuf>,
    /// The agent that is meant: the `--instance` of its `sgd`.
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        default_value = "sgd",
        value_parser = NonEmptyStringValueParser::new(),
        help_heading = HEADING
    )]
    pub(super) agent: String,
    /// How long to wait for an answer.
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        default_value_t = 60,
        value_parser = value_parser!(u32).range(1..),
        help_heading = HEADING
    )]
    timeout: u32,
    /// The form of the output.
    #[arg(
        short,
        long,
        global = true,
        value_name = "FORMAT",
        value_enum,
        default_value = "table",
        help_heading = HEADING
    )]
    output: Format,
    /// The same as `--output json`.
    #[arg(long, global = true, help_heading = HEADING)]
    json: bool,
}

impl Common {
    /// The form of the output.
    pub(super) const fn format(&self) -> Format {
        if self.json { Format::Json } else { self.output }
    }
}

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
    /// Whether a program reads it.
    pub(super) const fn is_data(self) -> bool {
        matches!(self, Self::Json | Self::Yaml)
    }
}

/// A verb's surroundings.
pub(super) struct Session<'a> {
    pub(super) client: Client,
    pub(super) out: &'a mut dyn Write,
    pub(super) format: Format,
    pub(super) colour: bool,
    /// Whether somebody sits there who can be asked.
    pub(super) person: bool,
}

impl<'a> Session<'a> {
    pub(super) fn new(common: &Common, out: &'a mut dyn Write) -> Result<Self, Failure> {
        let socket = match &common.socket {
            Some(socket) => socket.clone(),
            None => Instance::new(&common.agent).map_err(Failure::input)?.socket(),
        };
        Ok(Self {
            client: Client::new(socket, Duration::from_secs(u64::from(common.timeout)))?,
            out,
            format: common.format(),
            colour: colour(io::stdout().is_terminal()),
            person: io::stdin().is_terminal() && io::stderr().is_terminal(),
        })
    }

    /// Reads a thing.
    pub(super) fn get<T: DeserializeOwned>(&mut self, address: impl Into<String>) -> Result<T, Failure> {
        Ok(self.client.call(&Call::get(address))?)
    }

    /// Changes something.
    pub(super) fn change<T: DeserializeOwned>(
        &mut self,
        method: Method,
        address: impl Into<String>,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let call = Call::change(method, address).with_json(body)?;
        Ok(self.client.call(&call)?)
    }

    /// Reads a thing and shows it.
    pub(super) fn show<T: Shown + DeserializeOwned>(
        &mut self,
        address: impl Into<String>,
    ) -> Result<(), Failure> {
        let thing: T = self.get(address)?;
        self.one(&thing)
    }

    /// Shows one thing.
    pub(super) fn one<T: Shown>(&mut self, thing: &T) -> Result<(), Failure> {
        match self.format {
            Format::Table | Format::Wide => self.text(&table::one(thing, self.colour)),
            Format::Json | Format::Yaml => self.data(thing),
            Format::Name => self.line(&thing.id()),
        }
    }

    /// Shows many.
    pub(super) fn many<T: Shown>(&mut self, things: &[T]) -> Result<(), Failure> {
        match self.format {
            Format::Table | Format::Wide if things.is_empty() => {
                // Not on the output: whoever counts its lines counts none.
                self.remark(&format!("no {}", plural(T::NOUN)));
                Ok(())
            }
            Format::Table | Format::Wide => {
                self.text(&table::many(things, self.format == Format::Wide, self.colour))
            }
            Format::Json | Format::Yaml => self.data(&things),
            Format::Name => things.iter().try_for_each(|thing| self.line(&thing.id())),
        }
    }

    /// Says that something was done with a thing.
    pub(super) fn done<T: Shown>(&mut self, done: &str, thing: &T) -> Result<(), Failure> {
        match self.format {
            Format::Table | Format::Wide => {
                let name = match thing.name() {
                    "" => String::new(),
                    name => format!(" ({})", table::cell(name)),
                };
                self.line(&format!("{done} {} {}{name}", T::NOUN, thing.id()))
            }
            Format::Json | Format::Yaml | Format::Name => self.one(thing),
        }
    }

    /// Says that something was done with several things.
    pub(super) fn done_all<T: Shown>(&mut self, done: &str, things: &[T]) -> Result<(), Failure> {
        match self.format {
            Format::Table | Format::Wide => things.iter().try_for_each(|thing| self.done(done, thing)),
            Format::Json | Format::Yaml | Format::Name => self.many(things),
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
        if !io::stderr().is_terminal() {
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

impl Session<'_> {
    /// Deletes things one after the other, after asking. What was deleted before one that is refused stays deleted.
    pub(super) fn delete(
        &mut self,
        noun: &str,
        collection: &str,
        names: &[String],
        yes: Yes,
    ) -> Result<(), Failure> {
        self.confirm(&format!("Delete {noun} {}?", names.join(", ")), yes.yes)?;
        let (mut deleted, mut failure) = (Vec::with_capacity(names.len()), None);
        for name in names {
            let call = Call::change(Method::DELETE, Address::of(&[collection, name]));
            match self.client.call::<OneOrMore>(&call) {
                Ok(ids) => deleted.extend(ids.texts()),
                Err(error) => {
                    failure = Some(error.into());
                    break;
                }
            }
        }
        if failure.is_none() || !deleted.is_empty() {
            self.done_ids("deleted", noun, &deleted)?;
        }
        failure.map_or(Ok(()), Err)
    }
}

/// The id of what was deleted, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn texts(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::More(texts) => texts,
        }
    }
}

impl Session<'_> {
    pub(super) fn associations(&mut self, parts: &[&str]) -> Result<(), Failure> {
        let answer: serde_json::Value = self.get(Address::of(parts))?;
        self.data(&answer)
    }
}
