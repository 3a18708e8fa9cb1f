//! The state of one conversion of a tree to a policy, and how it goes on after a failure: `lower`, `rule` and `nic` read their
//! parts of a document with it. It must never know what a document consists of.

use ipnet::IpNet;
use sg_model::{
    Addresses, Established, GroupIndex, MidStream, PortListIndex, Precedence, PrefixListIndex, Takeover,
    Unmatched,
};

use super::{
    address,
    error::Notice,
    names::Directory,
    node::Node,
    problem::Problem,
    read::{Failures, Fields, Keys, Read},
};

/// Further warnings of a document are counted, not kept.
const MAX_WARNINGS: usize = 1000;

/// The warnings of a document.
#[derive(Default)]
pub(super) struct Warnings<'d> {
    kept: Vec<(&'d Node, Notice)>,
    not_kept: usize,
}

impl<'d> Warnings<'d> {
    pub(super) fn add(&mut self, node: &'d Node, notice: Notice) {
        if self.kept.len() < MAX_WARNINGS {
            self.kept.push((node, notice));
        } else {
            self.not_kept += 1;
        }
    }

    /// The warnings kept, and how many were not, which is about the `root`.
    pub(super) fn into_all(self, root: &'d Node) -> Vec<(&'d Node, Notice)> {
        let Self { mut kept, not_kept } = self;
        if not_kept > 0 {
            kept.push((root, Notice::More { count: not_kept }));
        }
        kept
    }
}

/// The conversion of one document: what its names refer to, the failures and the warnings.
///
/// A value that cannot be read is a failure, and reading goes on with a default in its place: one reading finds all failures, and
/// a document with one never becomes a policy.
pub(super) struct Lowering<'d> {
    pub(super) prefix_lists: Directory<'d, PrefixListIndex>,
    pub(super) port_lists: Directory<'d, PortListIndex>,
    pub(super) groups: Directory<'d, GroupIndex>,
    /// Applies to every NIC: a document has one setting for all.
    pub(super) precedence: Precedence,
    /// Applies to every NIC, too.
    pub(super) established: Established,
    /// Applies to every NIC, too.
    pub(super) mid_stream: MidStream,
    /// Applies to every NIC, too.
    pub(super) takeover: Takeover,
    pub(super) default: Unmatched,
    pub(super) failures: Failures<'d>,
    pub(super) warnings: Warnings<'d>,
}

impl<'d> Lowering<'d> {
    /// Before anything is read: no names are known, and every setting has its default.
    pub(super) fn new() -> Self {
        Self {
            prefix_lists: Directory::new("prefix list", PrefixListIndex, &[]),
            port_lists: Directory::new("port list", PortListIndex, &[]),
            groups: Directory::new("group", GroupIndex, &[]),
            precedence: Precedence::default(),
            established: Established::default(),
            mid_stream: MidStream::default(),
            takeover: Takeover::default(),
            default: Unmatched::default(),
            failures: Failures::default(),
            warnings: Warnings::default(),
        }
    }

    pub(super) fn warn(&mut self, node: &'d Node, notice: Notice) {
        self.warnings.add(node, notice);
    }

    /// The value read; `None` if that failed.
    pub(super) fn keep<T>(&mut self, read: Read<'d, T>) -> Option<T> {
        read.map_err(|failure| self.failures.push(failure)).ok()
    }

    /// A mapping; its unknown keys fail.
    pub(super) fn fields(&mut self, node: &'d Node, keys: &'static Keys) -> Fields<'d> {
        let Some(entries) = self.keep(node.entries("write a mapping, key: value")) else {
            return Fields { node, sound: false };
        };
        let mut unknown = entries.filter_map(|(key, _)| key.unknown_key(keys)).peekable();
        let sound = unknown.peek().is_none();
        while !self.failures.is_full()
            && let Some(failure) = unknown.next()
        {
            self.failures.push(failure);
        }
        Fields { node, sound }
    }

    /// The value of a key, read by `read`; `None` if the key is missing, or that failed.
    pub(super) fn field<T>(
        &mut self,
        fields: Fields<'d>,
        key: &str,
        read: impl FnOnce(&mut Self, &'d Node) -> Read<'d, T>,
    ) -> Option<T> {
        let value = fields.get(key).filter(|_| !self.failures.is_full())?;
        let read = read(self, value);
        self.keep(read)
    }

    /// The value of a required key. `allowed` describes the valid values.
    pub(super) fn required(
        &mut self,
        fields: Fields<'d>,
        key: &'static str,
        allowed: &'static str,
    ) -> Option<&'d Node> {
        let found = fields.get(key);
        if found.is_none() && fields.sound {
            self.failures.push(fields.node.fails(Problem::Missing { key, allowed }));
        }
        found
    }

    /// The items of a list that can be read.
    pub(super) fn each<T>(
        &mut self,
        list: &'d Node,
        allowed: &'static str,
        mut read: impl FnMut(&mut Self, &'d Node) -> Read<'d, T>,
    ) -> Read<'d, Vec<T>> {
        let mut all = Vec::new();
        for item in list.items(allowed)? {
            if self.failures.is_full() {
                break;
            }
            let read = read(self, item);
            all.extend(self.keep(read));
        }
        Ok(all)
    }

    /// An address or a prefix, normalised. `allowed` describes the valid values.
    pub(super) fn prefix(&mut self, node: &'d Node, allowed: &'static str) -> Read<'d, IpNet> {
        let written = address::prefix(node, allowed)?;
        Ok(self.without_host_bits(node, written))
    }

    /// An entry of a prefix list, normalised in the same way.
    pub(super) fn prefix_entry(&mut self, node: &'d Node, allowed: &'static str) -> Read<'d, Addresses> {
        Ok(match address::entry(node, allowed)? {
            Addresses::Net(written) => self.without_host_bits(node, written).into(),
            range @ Addresses::Range(_) => range,
        })
    }

    fn without_host_bits(&mut self, node: &'d Node, written: IpNet) -> IpNet {
        let read = written.trunc();
        if written != read {
            self.warn(node, Notice::HostBits { written: node.excerpt(), read });
        }
        read
    }
}
