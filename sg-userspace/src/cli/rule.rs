//! `sgctl rule`: the rules of groups.

use clap::{Args, Subcommand};
use hyper::Method;

use super::{
    address::Address,
    args::{named, word, write_ports, write_remote, write_time, yes_no},
    failure::Failure,
    list::Length,
    output::{Yes, count},
    rule_args::{NewRule, RuleChange},
    session::Session,
    table::{Column, Shown},
};
use crate::{
    service::{Authorize, Revoke},
    store::{Direction, Rule, RuleSpec, shortest},
};

const EXAMPLES: &str = "Examples:
  sgctl rule add web --direction ingress --protocol tcp --ports 80,443 --remote 10.0.0.0/8
  sgctl rule add web --direction ingress --protocol all --remote prefix-list:scanners --action drop
  sgctl rule add db --direction ingress --protocol tcp --ports 5432 --remote group:web --priority 5
  sgctl rule list web --direction ingress
  sgctl rule modify sgr-k3… --ports 443 --description 'TLS only'
  sgctl rule revoke sgr-k3… sgr-p7…";

/// Rules: which packets a group accepts or drops.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Typed {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the rules of a group.
    List(List),
    /// Show one.
    Show(Which),
    /// Add rules to a group. One that is there already is not added again.
    #[command(visible_alias = "create", after_long_help = EXAMPLES)]
    Add(Add),
    /// Change one; what is not said stays.
    Modify(Modify),
    /// Take rules out of their group.
    #[command(visible_alias = "delete")]
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
struct List {
    /// The group's id or name.
    #[arg(value_parser = named())]
    group: String,
    /// Only rules of this direction.
    #[arg(long, value_enum)]
    direction: Option<Direction>,
    #[command(flatten)]
    length: Length,
}

#[derive(Debug, Args)]
struct Which {
    /// Its id; with --group also its name.
    #[arg(value_parser = named())]
    rule: String,
    /// The group it is in.
    #[arg(long, value_parser = named())]
    group: Option<String>,
}

#[derive(Debug, Args)]
struct Add {
    /// The group's id or name.
    #[arg(value_parser = named())]
    group: String,
    /// Which way the packets go, seen from the NIC.
    #[arg(long, value_enum)]
    direction: Direction,
    #[command(flatten)]
    rule: NewRule,
}

#[derive(Debug, Args)]
struct Modify {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    change: RuleChange,
}

#[derive(Debug, Args)]
struct RevokeArgs {
    /// Their ids; with --group also their names.
    #[arg(required = true, value_name = "RULE", value_parser = named())]
    rules: Vec<String>,
    /// The group they are in. With it all are revoked, or none.
    #[arg(long, value_parser = named())]
    group: Option<String>,
    /// The direction they must be of.
    #[arg(long, value_enum, requires = "group")]
    direction: Option<Direction>,
    #[command(flatten)]
    yes: Yes,
}

impl Shown for Rule {
    const NOUN: &'static str = "rule";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("ID", |rule| rule.id.to_string()),
        Column::wide("GROUP", |rule| rule.group.to_string()),
        Column::new("DIRECTION", |rule| rule.direction.to_string()),
        Column::number("PRIORITY", |rule| rule.spec.priority.to_string()),
        Column::new("ACTION", |rule| action(&rule.spec)),
        Column::new("PROTOCOL", |rule| rule.spec.protocol.to_string()),
        Column::new("PORTS", |rule| ports(&rule.spec)),
        Column::new("REMOTE", |rule| write_remote(&rule.spec.remote)),
        Column::wide("SOURCE-PORTS", |rule| write_ports(&rule.spec.source_ports)),
        Column::wide("LOCAL", |rule| rule.spec.local.map_or_else(|| "any".to_owned(), shortest)),
        Column::wide("NIC-TYPE", |rule| word(&rule.spec.nic_type)),
        Column::alone("ENABLED", |rule| yes_no(rule.spec.enabled)),
        Column::wide("NAME", |rule| rule.spec.name.clone()),
        Column::wide("CREATED", |rule| write_time(rule.created)),
        Column::new("DESCRIPTION", |rule| rule.spec.description.clone()),
    ];

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn name(&self) -> Option<&str> {
        Some(&self.spec.name)
    }
}

/// A rule that does not count decides nothing.
fn action(spec: &RuleSpec) -> String {
    if spec.enabled { word(&spec.action) } else { "disabled".to_owned() }
}

/// Its ports, or the ICMP messages that it is for.
pub(super) fn ports(spec: &RuleSpec) -> String {
    match (spec.icmp_type, spec.icmp_code) {
        (None, _) => write_ports(&spec.ports),
        (Some(kind), None) => format!("type {kind}"),
        (Some(kind), Some(code)) => format!("type {kind} code {code}"),
    }
}

impl Which {
    fn address(&self) -> Address {
        Address::of(&["rules", &self.rule]).with_some("group", self.group.as_ref())
    }
}

pub(super) fn run(typed: Typed, session: &mut Session<'_>) -> Result<(), Failure> {
    match typed.verb {
        Verb::List(list) => {
            let address = Address::of(&["groups", &list.group, "rules"]);
            let address = address.with_some("direction", list.direction);
            session.list::<Rule>(&address, list.length)
        }
        Verb::Show(which) => session.show::<Rule>(which.address()),
        Verb::Add(add) => {
            let body =
                Authorize { group: String::new(), direction: add.direction, rules: add.rule.meaning() };
            let address = Address::of(&["groups", &add.group, "rules"]);
            let rules: Vec<Rule> = session.change_one(Method::POST, address, "group", &body)?;
            session.output.done_all("in force:", &rules)
        }
        Verb::Modify(modify) => {
            let mut body = modify.change.meaning();
            body.group = modify.which.group;
            let address = Address::of(&["rules", &modify.which.rule]);
            let rule: Rule = session.change_one(Method::PATCH, address, "rule", &body)?;
            session.output.done("changed", &rule)
        }
        Verb::Revoke(revoke) => self::revoke(revoke, session),
    }
}

fn revoke(typed: RevokeArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    let Some(group) = typed.group else {
        return session.delete("rule", "rules", &typed.rules, typed.yes);
    };
    let question = format!("Revoke {} of group {group}?", count(typed.rules.len(), "rule"));
    session.output.confirm(&question, typed.yes.yes)?;
    let body = Revoke { group: String::new(), direction: typed.direction, rules: typed.rules };
    let address = Address::of(&["groups", &group, "rules", "revoke"]);
    let revoked: Vec<String> = session.change_one(Method::POST, address, "group", &body)?;
    session.output.done_ids("revoked", "rule", &revoked)
}
