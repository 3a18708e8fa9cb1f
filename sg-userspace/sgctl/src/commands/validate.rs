//! `sgctl validate`: checks whether a document is a valid policy, and summarizes it.

use std::{io::Write, net::IpAddr};

use anyhow::anyhow;
use serde::Serialize;
use sg_agent::devices::{self, Devices};
use sg_check::CompiledNic;
use sg_document::{Loaded, Warning};
use sg_guard::lost_probe;
use sg_model::{Ethertype, Hook, Ipsec, Nic, Policy, Role};

use crate::{
    args::{Common, Format, PolicyArg, policy, word},
    failure::Failure,
    render::{Output, count},
};

/// Validate and compile a policy document, look for rules that are for nothing or let many addresses in, and ask whether its tests
/// hold, without applying it; root is not needed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    policy: PolicyArg,
}

/// The summary of a document.
#[derive(Debug, Serialize)]
struct Summary {
    groups: usize,
    rules: usize,
    nics: Vec<NicSummary>,
    warnings: Vec<WrittenWarning>,
}

/// What may be wrong in a valid document. It has the fields of an error of one that is not.
#[derive(Debug, Serialize)]
struct WrittenWarning {
    file: String,
    line: u32,
    column: u32,
    path: String,
    message: String,
}

#[derive(Debug, Serialize)]
struct NicSummary {
    device: String,
    role: Role,
    anti_spoofing: bool,
    hook: Hook,
    ipsec: Ipsec,
    ethertypes: Vec<Ethertype>,
    groups: Vec<String>,
    addresses: Vec<IpAddr>,
    image_bytes: usize,
    /// Whether this host has the device.
    present: bool,
}

pub(crate) fn run(args: &Args, common: &Common, out: &mut dyn Write) -> Result<(), Failure> {
    let mut output = Output::new(&common.output, out)?;
    output.without_table()?;
    let Loaded { policy, warnings, guard, .. } =
        policy::linted(policy::tested(policy::read(&args.policy.policy)?)?);
    if !output.format.is_data() {
        // Programs get them with the summary.
        warnings.iter().for_each(policy::warn);
    }
    if let Some(lost) = lost_probe(&policy, &guard.keep) {
        return Err(Failure::guarded(anyhow!("{lost}")));
    }
    let summary = Summary::of(&policy, &warnings)?;
    match output.format {
        Format::Table | Format::Wide => {
            output.line(&format!("{}: {}", args.policy.policy.display(), summary.words()))?;
            summary.nics.iter().flat_map(NicSummary::words).try_for_each(|line| output.line(&line))
        }
        Format::Json | Format::Yaml => output.data(&summary),
        Format::Name => summary.nics.iter().try_for_each(|nic| output.line(&nic.device)),
    }
}

impl Summary {
    fn of(policy: &Policy, warnings: &[Warning]) -> Result<Self, Failure> {
        let devices = devices::scan().map_err(Failure::other)?;
        let rules = policy.groups().iter().map(|group| group.ingress.len() + group.egress.len()).sum();
        let nics = policy.nics().iter().map(|nic| NicSummary::of(policy, nic, &devices));
        let written = |Warning { file, at, path, notice }: &Warning| WrittenWarning {
            file: file.clone(),
            line: at.line,
            column: at.column,
            path: path.to_string(),
            message: notice.to_string(),
        };
        Ok(Self {
            groups: policy.groups().len(),
            rules,
            nics: nics.collect::<Result<_, _>>()?,
            warnings: warnings.iter().map(written).collect(),
        })
    }

    fn words(&self) -> String {
        let [groups, rules, nics] = [(self.groups, "group"), (self.rules, "rule"), (self.nics.len(), "NIC")]
            .map(|(number, noun)| count(number, noun));
        format!("{groups}, {rules}, {nics}")
    }
}

impl NicSummary {
    fn of(policy: &Policy, nic: &Nic, devices: &Devices) -> Result<Self, Failure> {
        // A policy without an image can never be applied, so the input is wrong.
        let compiled = CompiledNic::new(policy, nic).map_err(Failure::input)?;
        Ok(Self {
            device: nic.device.clone(),
            role: nic.role,
            anti_spoofing: nic.anti_spoofing(),
            hook: nic.hook,
            ipsec: nic.ipsec(),
            ethertypes: nic.ethertypes.clone(),
            groups: nic.groups.iter().map(|&group| policy.group(group).name.clone()).collect(),
            addresses: nic.addresses.clone(),
            image_bytes: size_of_val(compiled.image.words()),
            present: devices.contains_key(&nic.device),
        })
    }

    fn words(&self) -> Vec<String> {
        let Self { device, image_bytes, .. } = self;
        let role = word(&self.role);
        let anti_spoofing = if self.anti_spoofing { ", anti-spoofing" } else { "" };
        let hook = if self.hook == Hook::Xdp { ", xdp" } else { "" };
        let groups = self.groups.join(", ");
        let addresses = match self.addresses.as_slice() {
            [] => "no address".to_owned(),
            addresses => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        let mut lines = vec![format!(
            "NIC {device}: {role}{anti_spoofing}{hook}; groups {groups}; {addresses}; image {image_bytes} bytes"
        )];
        if !self.present {
            lines.push(format!("NIC {device}: this host has no such device yet"));
        }
        lines
    }
}
