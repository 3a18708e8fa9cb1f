//! `sgctl group clone` and `restore`: the rules of one group in another.

use clap::Args;
use hyper::Method;
use sg_api_types::{CloneGroup, Cloned, LeftOut, RestoreRules, Restored};
use sg_records::Rule;

use crate::{
    args::{NewLabelArgs, named},
    client::Address,
    commands::rule::words,
    failure::Failure,
    names::{Names, Wanted},
    render::{Output, Render as _, Yes, count},
    session::Session,
};

/// Create a group with the rules of another.
#[derive(Debug, Args)]
pub(crate) struct CloneArgs {
    /// Id or name of the group to clone.
    #[arg(value_parser = named())]
    group: String,
    #[command(flatten)]
    label: NewLabelArgs,
    /// Region of the new group. Default: that of --vpc, or of the group.
    #[arg(long)]
    region: Option<String>,
    /// VPC of the new group. Default: that of the group.
    #[arg(long, conflicts_with = "classic")]
    vpc: Option<String>,
    /// Create it in the classic network.
    #[arg(long)]
    classic: bool,
    /// Do not copy the rules.
    #[arg(long)]
    without_rules: bool,
    /// Copy the tags too.
    #[arg(long, conflicts_with = "tags")]
    with_tags: bool,
}

/// Copy the rules of another group into a group.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// Id or name of the group that receives the rules.
    #[arg(value_parser = named())]
    group: String,
    /// Id or name of the group to copy the rules from.
    #[arg(long, value_name = "GROUP", value_parser = named())]
    from: String,
    /// Delete the rules that the other group does not have.
    #[arg(long)]
    complete: bool,
    /// Show what would be done and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    yes: Yes,
}

impl CloneArgs {
    pub(crate) fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        session.output.without_table()?;
        let body = CloneGroup {
            group: String::new(),
            label: self.label.into_request(),
            region: self.region,
            vpc: self.vpc,
            classic: self.classic,
            rules: !self.without_rules,
            tags: self.with_tags,
        };
        let address = Address::of(&["groups", &self.group, "clone"]);
        let cloned: Cloned = session.change_one(Method::POST, address, "group", &body)?;
        let output = &mut session.output;
        if output.format.is_data() {
            return output.data(&cloned);
        }
        output.done("created", &cloned.group)?;
        if output.format.is_table() {
            output.line(&format!("copied {}", count(cloned.rules, "rule")))?;
            left_out(output, &cloned.left_out)?;
        }
        Ok(())
    }
}

/// Lists the rules that were left out.
fn left_out(output: &mut Output<'_>, rules: &[LeftOut]) -> Result<(), Failure> {
    rules.iter().try_for_each(|left| output.line(&format!("left out rule {}: {}", left.rule, left.reason)))
}

impl RestoreArgs {
    pub(crate) fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        session.output.without_table()?;
        let body = RestoreRules { group: String::new(), from: self.from, complete: self.complete };
        let address = Address::of(&["groups", &self.group, "restore"]);
        let preview = address.clone().with("dry_run", true);
        if self.dry_run || (self.complete && !self.yes.yes) {
            let would: Restored = session.change_one(Method::POST, preview, "group", &body)?;
            if self.dry_run {
                return show(session, &would);
            }
            if !would.removed.is_empty() {
                if session.output.format.is_table() {
                    show(session, &would)?;
                }
                let lost = count(would.removed.len(), "rule");
                session.output.confirm(&format!("Take {lost} from group {}?", self.group), self.yes.yes)?;
            }
        }
        let restored: Restored = session.change_one(Method::POST, address, "group", &body)?;
        show(session, &restored)
    }
}

fn show(session: &mut Session<'_>, restored: &Restored) -> Result<(), Failure> {
    let both = || restored.added.iter().chain(&restored.removed);
    let mut wanted = Wanted::default();
    both().for_each(|rule| rule.mentions(&mut wanted));
    let names = if session.output.format.is_table() { session.names(&wanted)? } else { Names::default() };
    let output = &mut session.output;
    if output.format.is_data() {
        return output.data(restored);
    }
    if !output.format.is_table() {
        return both().try_for_each(|rule| output.line(rule.id.as_str()));
    }
    let mut rules = |sign, rules: &[Rule]| {
        rules.iter().try_for_each(|rule| output.line(&format!("{sign} {}", words(rule, &names))))
    };
    rules('+', &restored.added)?;
    rules('-', &restored.removed)?;
    left_out(output, &restored.skipped)?;
    let [added, removed] = [restored.added.len(), restored.removed.len()];
    output.line(&format!("{added} added, {removed} removed, {} as before", restored.kept))
}
