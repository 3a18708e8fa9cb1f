//! `sgctl lint`: lint, for rules that can never decide, rules that are not used and rules that let everybody in.

use sg_api_types::{Age, Finding, FindingKind, Severity};

use crate::{
    args::{named, write_ids},
    client::Address,
    failure::Failure,
    names::Wanted,
    render::{Column, Render},
    session::Session,
};

/// Find rules that never decide a packet, rules that are not used, and rules that let everybody in.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this group. Default: every group, one by one.
    #[arg(long, value_parser = named(), conflicts_with = "nic")]
    group: Option<String>,
    /// All groups of this NIC together.
    #[arg(long, value_parser = named())]
    nic: Option<String>,
    /// Find rules as unused that decided no packet on this host for at least so long, such as 30d. Default: 7d
    #[arg(long, value_name = "TIME")]
    unused: Option<Age>,
}

impl Render for Finding {
    const NOUN: &'static str = "finding";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("SEVERITY", |finding| {
            let severity = match finding.severity {
                Severity::High => "high",
                Severity::Medium => "medium",
                Severity::Low => "low",
            };
            severity.to_owned()
        }),
        Column::new("KIND", |finding| {
            let kind = match finding.kind {
                FindingKind::OverOpen => "over-open",
                FindingKind::Shadowed => "shadowed",
                FindingKind::Redundant => "redundant",
                FindingKind::ExtensionHeader => "extension-header",
                FindingKind::Unused => "unused",
                FindingKind::Undecided => "undecided",
            };
            kind.to_owned()
        }),
        Column::named("GROUP", |finding, names| names.of(&finding.group)),
        Column::new("RULE", |finding| finding.rule.to_string()),
        Column::wide("BY", |finding| write_ids(&finding.by)),
        Column::new("WHAT", |finding| finding.message.clone()),
    ];

    fn id(&self) -> String {
        self.rule.to_string()
    }

    fn mentions(&self, wanted: &mut Wanted) {
        wanted.ids("groups", [&self.group]);
    }
}

pub(crate) fn run(args: Args, session: &mut Session<'_>) -> Result<(), Failure> {
    let address = Address::of(&["lint"]).with_some("group", args.group).with_some("nic", args.nic);
    let address = address.with_some("unused", args.unused);
    let findings: Vec<Finding> = session.get(address)?;
    let names = session.names_for(&findings)?;
    session.output.many(&findings, &names)
}
