//! What a rule of the model says, which two rules say the same, and why one may not be in a group. It must never know how an API
//! writes a rule.

use ipnet::IpNet;

use super::objects::{Kind, Model, Why};

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Action {
    Drop,
    Reject,
    Accept,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) fn of(net: &IpNet) -> Self {
        if matches!(net, IpNet::V4(_)) { Self::V4 } else { Self::V6 }
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Ports {
    Any,
    Ranges(Vec<(u16, u16)>),
    List(u32),
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Remote {
    Any,
    Net(IpNet),
    /// A group by its number; none: one that is not there.
    Group(u32),
    List(u32),
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Spec {
    pub(super) ingress: bool,
    pub(super) action: Action,
    pub(super) priority: u8,
    /// None: every protocol.
    pub(super) protocol: Option<u8>,
    /// None: it is not said.
    pub(super) family: Option<Family>,
    pub(super) ports: Ports,
    pub(super) source_ports: Option<(u16, u16)>,
    pub(super) icmp: Option<(u8, Option<u8>)>,
    pub(super) remote: Remote,
    pub(super) local: Option<IpNet>,
    pub(super) enabled: bool,
}

/// Whether two rules are the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Same {
    Yes,
    No,
    /// They match the same packets, and are written differently: documents leave open whether they are the same.
    Open,
}

impl Spec {
    /// The families that its fields have, each once for each field.
    pub(super) fn families(&self, model: &Model) -> Vec<Family> {
        let of_protocol = match self.protocol {
            Some(1) => Some(Family::V4),
            Some(58) => Some(Family::V6),
            _ => None,
        };
        let of_remote = match &self.remote {
            Remote::Net(net) => Some(Family::of(net)),
            Remote::List(list) => {
                model.lists.get(list).map(|list| if list.v6 { Family::V6 } else { Family::V4 })
            }
            Remote::Any | Remote::Group(_) => None,
        };
        let of_local = self.local.as_ref().map(Family::of);
        [of_protocol, of_remote, of_local, self.family].into_iter().flatten().collect()
    }

    /// The family of the packets that it matches; none: both.
    pub(super) fn only(&self, model: &Model) -> Option<Family> {
        self.families(model).first().copied()
    }

    /// The packets that it matches, written in one way.
    fn packets(&self, model: &Model) -> Self {
        let remote = match &self.remote {
            Remote::Net(net) if net.prefix_len() == 0 => Remote::Any,
            remote => remote.clone(),
        };
        Self {
            family: self.only(model),
            remote,
            action: Action::Accept,
            priority: 0,
            enabled: true,
            ..self.clone()
        }
    }

    /// Whether another rule of the group is the same. `packets`: whatever happens to them.
    pub(super) fn same(&self, other: &Self, model: &Model, packets: bool) -> Same {
        let decides = |spec: &Self| (spec.action, spec.priority);
        if self.packets(model) != other.packets(model) || (!packets && decides(self) != decides(other)) {
            return Same::No;
        }
        let written = |spec: &Self| {
            // `any` of a family is every address of it.
            let is_all = matches!(&spec.remote, Remote::Net(net) if net.prefix_len() == 0);
            let is_of_family = spec.remote == Remote::Any && spec.family.is_some();
            (is_all || is_of_family, matches!(spec.remote, Remote::List(_)) && spec.family.is_some())
        };
        if written(self) == written(other) { Same::Yes } else { Same::Open }
    }

    /// Why the rule may not be in a group.
    pub(super) fn misfits(&self, model: &Model, group: u32) -> Vec<Why> {
        let mut why = Vec::new();
        let owner = &model.groups[&group];
        match &self.remote {
            Remote::Group(named) => match model.groups.get(named) {
                None => why.push(Why::UnknownRemote),
                Some(named_group) => {
                    if *named == group && owner.kind != Kind::Closed {
                        why.push(Why::Own);
                    }
                    if named_group.is_regional() != owner.is_regional() {
                        why.push(Why::Regional);
                    } else if named_group.vpc != owner.vpc {
                        why.push(Why::OtherNetwork);
                    }
                    if [named_group.kind, owner.kind].contains(&Kind::Enterprise) {
                        why.push(Why::Enterprise);
                    }
                }
            },
            Remote::List(list) if !model.lists.contains_key(list) => why.push(Why::UnknownRemote),
            _ => {}
        }
        if self.families(model).windows(2).any(|pair| pair[0] != pair[1]) {
            why.push(Why::Families);
        }
        why
    }
}
