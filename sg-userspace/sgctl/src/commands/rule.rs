//! `sgctl rule`: the rules of groups.

use clap::Subcommand;
use hyper::Method;
use jiff::Timestamp;
use sg_api_types::{Age, Authorize, GroupView, LARGEST_PAGE, ListedRule, Revoke};
use sg_model::Scope;
use sg_records::{Direction, Match, NicType, Rule, RuleSpec, shortest};

use crate::{
    args::{
        filter::Length,
        rule::{NewRule, RuleChange},
        values::{named, word, write_ports, write_remote, write_time, yes_no},
    },
    client::address::Address,
    failure::Failure,
    names::{Names, Wanted},
    render::{
        column::{Column, Render, cell, name_or},
        output::{Yes, count},
    },
    resource::Resource,
    session::Session,
};

/// Rules of a group.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the rules of a group.
    List(List),
    /// Show a rule.
    Show {
        /// Id, or a name that no other rule has.
        #[arg(value_parser = named())]
        rule: String,
    },
    /// Add rules to a group. Existing ones are not added again.
    #[command(visible_alias = "create")]
    Add(Add),
    /// Change a rule. Unspecified fields are left unchanged.
    Modify(Modify),
    /// Revoke rules.
    #[command(visible_alias = "delete")]
    Revoke(RevokeArgs),
}

#[derive(Debug, clap::Args)]
struct List {
    /// Id or name of the group.
    #[arg(value_parser = named())]
    group: String,
    /// Only rules of this direction.
    #[arg(long, value_enum)]
    direction: Option<Direction>,
    /// In a classic group: only rules for NICs of this network.
    #[arg(long, value_enum, value_name = "NETWORK")]
    nic_type: Option<NicType>,
    /// Only rules that decided no packet on this host for at least so long, such as 30d, and were observed as long.
    #[arg(long, value_name = "TIME")]
    unused: Option<Age>,
    #[command(flatten)]
    length: Length,
}

#[derive(Debug, clap::Args)]
struct Add {
    /// Id or name of the group.
    #[arg(value_parser = named())]
    group: String,
    /// Direction as the NIC's owner sees it.
    #[arg(long, value_enum)]
    direction: Direction,
    #[command(flatten)]
    rule: NewRule,
}

#[derive(Debug, clap::Args)]
struct Modify {
    /// Id; with --group also a name.
    #[arg(value_parser = named())]
    rule: String,
    /// Group of the rule.
    #[arg(long, value_parser = named())]
    group: Option<String>,
    #[command(flatten)]
    change: RuleChange,
}

#[derive(Debug, clap::Args)]
struct RevokeArgs {
    /// Ids; with --group also names.
    #[arg(required = true, value_name = "RULE", value_parser = named())]
    rules: Vec<String>,
    /// Group of the rules. With it, all are revoked or none.
    #[arg(long, value_parser = named())]
    group: Option<String>,
    /// Direction they must have.
    #[arg(long, value_enum, requires = "group")]
    direction: Option<Direction>,
    #[command(flatten)]
    yes: Yes,
}

/// The columns of a rule, which `$rule` finds in what is shown, and `$more` columns behind them.
macro_rules! columns {
    ($rule:ident, $of:expr; $($more:expr),*) => { &[
        Column::new("NAME", |$rule| name_or(&$of.spec.name, &$of.id)),
        Column::wide("ID", |$rule| $of.id.to_string()),
        Column::wide_named("GROUP", |$rule, names| names.of(&$of.group)),
        Column::new("DIRECTION", |$rule| $of.direction.to_string()),
        Column::number("PRIORITY", |$rule| $of.spec.priority.to_string()),
        Column::new("ACTION", |$rule| action(&$of.spec)),
        Column::named("PROTOCOL", |$rule, names| Cells::of(&$of.spec, names).protocol),
        Column::named("PORTS", |$rule, names| Cells::of(&$of.spec, names).ports),
        Column::named("REMOTE", |$rule, names| Cells::of(&$of.spec, names).remote),
        Column::used("SOURCE-PORTS", ANY, |$rule, names| Cells::of(&$of.spec, names).source_ports),
        Column::used("LOCAL", ANY, |$rule, names| Cells::of(&$of.spec, names).local),
        Column::used("FAMILY", ANY, |$rule, names| Cells::of(&$of.spec, names).family),
        Column::used("OTHER-FIELDS", "", |$rule, names| Cells::of(&$of.spec, names).others),
        Column::used("NIC-TYPE", INTRANET, |$rule, _| word(&$of.spec.nic_type)),
        Column::alone("ENABLED", |$rule| yes_no($of.spec.enabled)),
        Column::wide("CREATED", |$rule| write_time($of.created)),
        Column::used("DESCRIPTION", "", |$rule, _| $of.spec.description.clone()),
        $($more,)*
    ] };
}

impl Render for Rule {
    const NOUN: &'static str = "rule";
    const COLUMNS: &'static [Column<Self>] = columns!(rule, rule;);

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn name(&self) -> Option<&str> {
        Some(&self.spec.name)
    }

    fn mentions(&self, wanted: &mut Wanted) {
        wanted.matches(&self.spec.matches);
        wanted.ids("groups", [&self.group]);
    }
}

impl Render for ListedRule {
    const NOUN: &'static str = "rule";
    const COLUMNS: &'static [Column<Self>] = columns!(listed, listed.rule;
        Column::wide("LAST-HIT", |listed| write_hit(listed.last_hit, listed.observed_since)),
        Column::wide("OBSERVED-SINCE", |listed| listed.observed_since.map(write_time).unwrap_or_default()));

    fn id(&self) -> String {
        self.rule.id.to_string()
    }

    fn name(&self) -> Option<&str> {
        Some(&self.rule.spec.name)
    }

    fn mentions(&self, wanted: &mut Wanted) {
        self.rule.mentions(wanted);
    }
}

/// When something was hit last; if it was not, for how long it is known.
pub(crate) fn write_hit(last_hit: Option<Timestamp>, observed_since: Option<Timestamp>) -> String {
    match (last_hit, observed_since) {
        (Some(hit), _) => write_time(hit),
        (None, Some(since)) => {
            let observed = Age::of_seconds(Timestamp::now().duration_since(since).as_secs());
            format!("none in {observed}")
        }
        (None, None) => String::new(),
    }
}

/// The text of a field that matches every packet.
pub(crate) const ANY: &str = "any";

/// The NICs of a rule, unless it names others.
pub(crate) const INTRANET: &str = "intranet";

/// A disabled rule decides nothing.
pub(crate) fn action(spec: &RuleSpec) -> String {
    if spec.enabled { word(&spec.action) } else { "disabled".to_owned() }
}

/// What columns show of the packets that a rule matches. A field of a rule without one here is an error of the build, and one
/// here that no column shows is a warning.
pub(crate) struct Cells {
    pub(crate) protocol: String,
    /// The ports, or the ICMP messages.
    pub(crate) ports: String,
    pub(crate) source_ports: String,
    /// The numbers that are in the headers of every packet, by their keys.
    pub(crate) others: String,
    pub(crate) family: String,
    pub(crate) remote: String,
    pub(crate) local: String,
}

impl Cells {
    pub(crate) fn of(spec: &RuleSpec, names: &Names) -> Self {
        let Match { protocol, ports, source_ports, numbers, family, remote, local } = &spec.matches;
        Self {
            protocol: protocol.to_string(),
            ports: match (numbers.icmp_type, numbers.icmp_code) {
                (None, _) => write_ports(ports, names),
                (Some(kind), None) => format!("type {kind}"),
                (Some(kind), Some(code)) => format!("type {kind} code {code}"),
            },
            others: numbers.of_scope(Scope::Every).to_string().trim_start().to_owned(),
            source_ports: write_ports(source_ports, names),
            family: family.as_ref().map_or_else(|| ANY.to_owned(), word),
            remote: write_remote(remote, names),
            local: local.map_or_else(|| ANY.to_owned(), shortest),
        }
    }
}

/// A rule in one line: what every rule has, then every other field that is not as usual, so that two rules that differ look
/// different.
pub(crate) fn words(rule: &Rule, names: &Names) -> String {
    let RuleSpec { action, priority, matches: _, nic_type, enabled, name, description } = &rule.spec;
    let Cells { protocol, ports, source_ports, others, family, remote, local } = Cells::of(&rule.spec, names);
    let direction = rule.direction;
    let [from, to] = match direction {
        Direction::Ingress => [remote, ports],
        Direction::Egress => [ports, remote],
    };
    let mut line = format!("{direction} {} {protocol} {from} -> {to}, priority {priority}", word(action));
    let (nic_type, enabled) = (word(nic_type), if *enabled { "" } else { "disabled" });
    for (what, value, usual) in [
        ("source ports ", source_ports.as_str(), ANY),
        ("", &family, ANY),
        ("local ", &local, ANY),
        ("", &others, ""),
        ("NIC type ", &nic_type, INTRANET),
        ("", enabled, ""),
        ("name ", name, ""),
        ("description ", description, ""),
    ] {
        if value != usual {
            line.extend([", ", what, value]);
        }
    }
    cell(&line)
}

impl Resource for Rule {
    const COLLECTION: &'static str = "rules";
    const TARGET: &'static str = "rule";
    const DELETE: [&'static str; 2] = ["Revoke", "revoked"];
    type Item = ListedRule;
    type View = Rule;
}

pub(crate) fn run(args: Args, session: &mut Session<'_>) -> Result<(), Failure> {
    match args.verb {
        Verb::List(list) => {
            let address = Address::of(&["groups", &list.group, "rules"]);
            let address = address.with_some("direction", list.direction).with_some("nic_type", list.nic_type);
            let unused = address.clone().with_some("unused", list.unused);
            let mut rules = session.list_at::<ListedRule>(&unused, list.length)?;
            if list.unused.is_some() && session.output.remarks() {
                // Of no rule, others tell for how long rules are observed.
                if rules.is_empty() {
                    (rules, _) = session.pages(&address, LARGEST_PAGE)?;
                }
                session.observed(rules.iter().filter_map(|rule| rule.observed_since).min());
            }
            Ok(())
        }
        Verb::Show { rule } => session.show::<Rule>(&rule).map(drop),
        Verb::Add(add) => {
            session.output.without_table()?;
            let body = Authorize::of("", add.direction, add.rule.into_request());
            let address = Address::of(&["groups", &add.group, "rules"]);
            let rules: Vec<Rule> = session.change_one(Method::POST, address, "group", &body)?;
            let of: Result<GroupView, _> = session.get(Address::of(&["groups", &add.group]));
            let held = of.map_or(true, |group| group.nics > 0);
            let done = if held { "in force:" } else { "stored, but no NIC holds this group:" };
            session.output.done_all(done, &rules)
        }
        Verb::Modify(modify) => {
            let body = modify.change.into_request(modify.group);
            session.modify::<Rule>(&modify.rule, &body).map(drop)
        }
        Verb::Revoke(args) => revoke(args, session),
    }
}

fn revoke(args: RevokeArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    session.output.without_table()?;
    let Some(group) = args.group else { return session.delete::<Rule>(&args.rules, args.yes) };
    let question = format!("Revoke {} of group {group}?", count(args.rules.len(), "rule"));
    session.output.confirm(&question, args.yes.yes)?;
    let body = Revoke { group: String::new(), direction: args.direction, rules: args.rules };
    let address = Address::of(&["groups", &group, "rules", "revoke"]);
    let revoked: Vec<String> = session.change_one(Method::POST, address, "group", &body)?;
    session.output.done_ids("revoked", "rule", &revoked)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rule(field: &str, value: Value) -> Rule {
        let mut spec =
            json!({ "action": "accept", "priority": 1, "protocol": "tcp", "ports": "22", "remote": "any" });
        spec[field] = value;
        Rule {
            id: "sgr-1".into(),
            group: "sg-1".into(),
            direction: Direction::Ingress,
            serial: 1,
            created: Timestamp::UNIX_EPOCH,
            updated: Timestamp::UNIX_EPOCH,
            spec: serde_json::from_value(spec).unwrap(),
        }
    }

    #[test]
    fn two_rules_that_differ_look_different() {
        let usual = words(&rule("ports", "22".into()), &Names::default());
        assert_eq!(usual, "ingress accept tcp any -> 22, priority 1");
        for (field, value, added) in [
            ("source_ports", json!("1024-65535"), ", source ports 1024-65535"),
            ("local", json!("10.0.0.5/32"), ", local 10.0.0.5"),
            ("dscp", json!(46), ", dscp 46"),
            ("family", json!("ipv6"), ", ipv6"),
            ("nic_type", json!("internet"), ", NIC type internet"),
            ("enabled", json!(false), ", disabled"),
            ("name", json!("ssh"), ", name ssh"),
            ("description", json!("from inside"), ", description from inside"),
        ] {
            assert_eq!(words(&rule(field, value), &Names::default()), format!("{usual}{added}"), "{field}");
        }
    }

    #[test]
    fn the_usual_nics_are_the_default_ones() {
        assert_eq!(word(&RuleSpec::accept(sg_records::Protocol::All).nic_type), INTRANET);
    }
}
