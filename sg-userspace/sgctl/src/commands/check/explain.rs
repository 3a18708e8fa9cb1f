//! An explanation in words.

use std::io::{self, Write};

use sg_model::{Policy, RuleIndex, text::escaped};
use sg_oracle::{Explanation, Step};
use sg_probe::Probe;

/// The maximum number of listed rules; the rest is only counted.
const LISTED: usize = 30;

/// Writes the verdict for `probe`, and why. Texts from users are escaped: they may contain anything.
pub(crate) fn write(
    policy: &Policy,
    probe: &Probe,
    explanation: &Explanation,
    out: &mut dyn Write,
) -> io::Result<()> {
    let device = policy.nics().get(probe.nic()).map_or("", |nic| &nic.device);
    writeln!(out, "{} {probe}", escaped(device))?;
    writeln!(out, "{}", escaped(&explanation.result.written(policy).to_string()))?;
    if let Some(text) = explanation.result.rule.and_then(|rule| policy.rule(rule).description.as_deref()) {
        writeln!(out, "  {}", escaped(text))?;
    }

    // The rules closest to the decision are the ones that were expected to decide.
    let hidden = explanation.evaluated.len().saturating_sub(LISTED);
    if !explanation.evaluated.is_empty() {
        writeln!(out, "evaluated before:")?;
    }
    if hidden > 0 {
        writeln!(out, "  … {hidden} more that do not match")?;
    }
    for step in &explanation.evaluated[hidden..] {
        match *step {
            Step::NoMember(group) => {
                let name = escaped(&policy.group(group).name);
                writeln!(out, "  members of {name}: {} is none", probe.remote())?;
            }
            Step::NoMatch(rule, mismatch) => writeln!(out, "  {}: {mismatch}", named(policy, rule))?,
        }
    }

    if !explanation.shadowed.is_empty() {
        writeln!(out, "shadowed (they match this packet too, but are never reached):")?;
    }
    for &rule in explanation.shadowed.iter().take(LISTED) {
        writeln!(out, "  {}", named(policy, rule))?;
    }
    match explanation.shadowed.len().saturating_sub(LISTED) {
        0 => Ok(()),
        more => writeln!(out, "  … {more} more"),
    }
}

fn named(policy: &Policy, index: RuleIndex) -> String {
    let rule = policy.rule(index);
    let group = &policy.group(index.group).name;
    let named = format!("{} of {group} ({}, priority {})", rule.id, rule.action, rule.priority.get());
    escaped(&named).into_owned()
}
