//! The flags of every command: the instance or server, and how to print.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::{
    Arg, ArgMatches, Args, ValueEnum, builder::NonEmptyStringValueParser, parser::ValueSource, value_parser,
};
use sg_agent::Instance;

use crate::failure::Failure;

/// The heading of these flags in every help.
pub(crate) const HEADING: &str = "Global options";

/// The flags of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct Common {
    /// Instance of sgd, as in `sgd --instance`. Default: sgd
    #[arg(long, global = true, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) instance: Option<String>,
    /// Unix socket of `sgd serve`. Default: that of --instance
    #[arg(long, global = true, value_name = "PATH", env = "SGCTL_SOCKET", hide_env = true)]
    pub(crate) socket: Option<PathBuf>,
    /// Server of the native API over TCP, such as `http://127.0.0.1:8751` (`sgd serve --listen`)
    #[arg(long, global = true, value_name = "URL", env = "SGCTL_SERVER", hide_env = true)]
    pub(crate) server: Option<String>,
    /// File with the access key for --server, as `sgctl access-key create -o json` prints it
    #[arg(long, global = true, value_name = "FILE", env = "SGCTL_ACCESS_KEY_FILE", hide_env = true)]
    pub(crate) access_key_file: Option<PathBuf>,
    /// Seconds to wait for a response. Default: 60
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        default_value_t = 60,
        hide_default_value = true,
        value_parser = value_parser!(u32).range(1..)
    )]
    pub(crate) timeout: u32,
    /// Make a change even if your own connection, or what a document keeps, would not be accepted any more
    #[arg(long, global = true)]
    pub(crate) force: bool,
    /// Make a change even if tests of the policy fail afterwards; the history says who did
    #[arg(long, global = true)]
    pub(crate) skip_tests: bool,
    /// Why the user makes a change. It is an argument of commands that make one: `reason`.
    #[arg(skip)]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// The flag for a place to ask that stands on the command line, if one does.
    #[arg(skip)]
    pub(crate) typed_place: Option<&'static str>,
}

/// The id of the argument that says why; `--reason` of other commands means something else.
const WHY: &str = "why";

/// The argument of commands that make changes.
pub(crate) fn reason() -> Arg {
    let parse = |text: &str| sg_audit::check_reason(text).map(|()| text.to_owned());
    Arg::new(WHY)
        .long("reason")
        .value_name("TEXT")
        .value_parser(parse)
        .help("Why you make the change, for the history: up to 500 characters")
        .help_heading(HEADING)
}

/// How to print.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct OutputArgs {
    /// Output format: table, wide, json, yaml or name. Default: table
    #[arg(
        short = 'o',
        long = "output",
        global = true,
        value_name = "FORMAT",
        value_enum,
        default_value = "table",
        hide_default_value = true,
        hide_possible_values = true
    )]
    format: Format,
    /// The same as --output json
    #[arg(long, global = true)]
    json: bool,
    /// Columns of the table, in this order, such as name,rules
    #[arg(long, global = true, value_name = "COLUMN,…", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,
    /// Column to sort the table by; -COLUMN sorts from the largest
    #[arg(long, global = true, value_name = "[-]COLUMN", allow_hyphen_values = true)]
    pub(crate) sort: Option<String>,
    /// Print the table without its header line
    #[arg(long, global = true)]
    pub(crate) no_headers: bool,
}

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table for people.
    #[default]
    Table,
    /// A table with more columns.
    Wide,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// Ids only, one per line.
    Name,
}

impl Common {
    /// Takes the reason from the command's own arguments, and lets the command line win over the environment: whoever names an instance, a socket or a server means that one, and not
    /// what a variable names.
    pub(crate) fn prefer_the_command_line(&mut self, matches: &ArgMatches) {
        let typed = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
        let mut of_command = matches;
        while let Some((_, below)) = of_command.subcommand() {
            of_command = below;
        }
        self.reason = of_command.try_get_one::<String>(WHY).ok().flatten().cloned();
        self.typed_place = [("server", "--server"), ("socket", "--socket")]
            .into_iter()
            .find_map(|(name, flag)| typed(name).then_some(flag));
        if !typed("server") && (typed("socket") || typed("instance")) {
            self.server = None;
        }
        if !typed("socket") && (typed("server") || typed("instance")) {
            self.socket = None;
        }
    }

    /// Refuses a server for a command that works on the filter of this host, which no server reaches. What a variable names is
    /// not meant.
    pub(crate) fn of_this_host(&self) -> Result<Self, Failure> {
        if self.typed_place == Some("--server") {
            return Err(Failure::input(anyhow!(
                "this command works on the filter of this host, which --server does not reach: leave --server out, or run \
                 it on that host"
            )));
        }
        Ok(Self { server: None, ..self.clone() })
    }

    /// The same without a server, for a command that reads a file. What a variable names is not meant.
    pub(crate) fn of_file(&self) -> Result<Self, Failure> {
        if let Some(place) = self.typed_place {
            return Err(Failure::input(anyhow!(
                "{place} and --file are two places to read from: give one of them"
            )));
        }
        Ok(Self { server: None, socket: None, ..self.clone() })
    }

    /// The instance, without a socket that determines it.
    pub(crate) fn instance(&self) -> Result<Instance, Failure> {
        Instance::new(self.instance.as_deref().unwrap_or("sgd")).map_err(Failure::input)
    }

    /// Whether an argument names the server.
    pub(crate) const fn names_a_server(&self) -> bool {
        self.socket.is_some() || self.server.is_some()
    }
}

impl OutputArgs {
    pub(crate) const fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }

    /// Whether columns or their order were chosen.
    pub(crate) const fn chooses_columns(&self) -> bool {
        !self.columns.is_empty() || self.sort.is_some()
    }
}

impl Format {
    /// Whether it is for people.
    pub(crate) const fn is_table(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }

    /// Whether it is for programs.
    pub(crate) const fn is_data(self) -> bool {
        matches!(self, Self::Json | Self::Yaml)
    }
}
