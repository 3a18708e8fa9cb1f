//! The operations on the groups of ports of the Huawei Cloud API: how each is sent, and what the model says becomes of it.

use axum::http::Method;
use serde_json::json;

use super::About;
use crate::tests::{
    alibaba::{has_twice, there},
    both::Both,
    objects::{Named, Why},
    operations::Version,
};

impl Both {
    /// The groups that a request names, and their ids in it.
    pub(super) fn named(
        &self,
        groups: &[u16],
        pick: impl Fn(u16) -> Named,
    ) -> (Option<Vec<u32>>, Vec<String>) {
        let named: Vec<Named> = groups.iter().map(|group| pick(*group)).collect();
        let ids = named.iter().map(|named| self.model.group_ids(named).uuid).collect();
        (there(&named), ids)
    }

    /// Whether the places of these groups change nothing: in VPCs the order is merged.
    fn is_merged(&self, groups: &[u32]) -> bool {
        !groups.iter().any(|group| self.model.groups[group].is_regional())
    }

    pub(super) fn insert(&mut self, nic: usize, groups: &[u16], index: Option<usize>) -> Result<(), String> {
        let (new, ids) = self.named(groups, |pick| self.model.group_for(nic, pick));
        let mut after = self.model.nics[nic].groups.clone();
        let mut body = json!({ "port": { "security_groups": ids } });
        if let Some(index) = index {
            body["port"]["index"] = index.into();
        }
        let mut why = Vec::new();
        match new {
            None => why.push(Why::Unknown),
            Some(new) => {
                if new.iter().any(|group| after.contains(group)) {
                    why.push(Why::AlreadyMember);
                }
                let place = index.unwrap_or(after.len());
                if place > after.len() {
                    why.push(Why::Place);
                } else {
                    let is_end = place == after.len();
                    after.splice(place..place, new);
                    if !is_end && self.is_merged(&after) {
                        why.push(Why::Place);
                    }
                    why.extend(self.model.cannot_hold(nic, &after));
                }
            }
        }
        let target =
            format!("{}/{}/insert-security-groups", Version::V3.path("ports"), self.model.nics[nic].ids.uuid);
        if self.ask((Version::V3, About::Port), Method::PUT, &target, &body, &why)?.is_some() {
            self.model.nics[nic].groups = after;
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, nic: usize, groups: &[u16]) -> Result<(), String> {
        let (old, ids) = self.named(groups, |pick| self.model.held(nic, pick));
        let mut after = self.model.nics[nic].groups.clone();
        let mut why = Vec::new();
        match old {
            None => why.push(Why::Unknown),
            Some(old) => {
                if !old.iter().all(|group| after.contains(group)) {
                    why.push(Why::NotMember);
                }
                after.retain(|group| !old.contains(group));
                if after.is_empty() {
                    why.push(Why::Last);
                }
                if has_twice(&old) && why.is_empty() {
                    // Whether a group that is named twice is removed or the request refused, no document says.
                    return Ok(());
                }
            }
        }
        let body = json!({ "port": { "security_groups": ids } });
        let target =
            format!("{}/{}/remove-security-groups", Version::V3.path("ports"), self.model.nics[nic].ids.uuid);
        if self.ask((Version::V3, About::Port), Method::PUT, &target, &body, &why)?.is_some() {
            self.model.nics[nic].groups = after;
        }
        Ok(())
    }

    pub(super) fn replace(&mut self, version: Version, nic: usize, groups: &[u16]) -> Result<(), String> {
        let (new, ids) = self.named(groups, |pick| self.model.group_for(nic, pick));
        let why = match &new {
            None => vec![Why::Unknown],
            Some(new) => {
                let mut why = self.model.cannot_hold(nic, new);
                let before = &self.model.nics[nic].groups;
                let is_same = new.len() == before.len() && new.iter().all(|group| before.contains(group));
                if is_same && new != before && self.is_merged(new) {
                    why.push(Why::Place);
                }
                why
            }
        };
        let body = json!({ "port": { "security_groups": ids } });
        let target = format!("{}/{}", version.path("ports"), self.model.nics[nic].ids.uuid);
        if self.ask((version, About::Port), Method::PUT, &target, &body, &why)?.is_some() {
            self.model.nics[nic].groups = new.unwrap_or_default();
        }
        Ok(())
    }
}
