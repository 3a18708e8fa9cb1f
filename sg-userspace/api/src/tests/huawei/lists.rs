//! The operations on address groups of the Huawei Cloud API: how each is sent, and what the model says becomes of it.

use axum::http::Method;
use serde_json::{Value, json};

use super::About;
use crate::tests::{
    alibaba::{entries, has_twice},
    both::Both,
    objects::{Ids, List, Why},
    operations::{ENTRIES, Version},
};

impl Both {
    pub(super) fn create_list(
        &mut self,
        v6: bool,
        max: Option<usize>,
        picks: &[usize],
        stray: bool,
    ) -> Result<(), String> {
        let number = self.model.number();
        let (name, mut entries) = (format!("l{number}"), entries(v6, picks));
        let mut why = Vec::new();
        if stray {
            entries.push(ENTRIES[usize::from(!v6)][0].to_owned());
            why.push(Why::EntryFamily);
        }
        let mut list = json!({ "name": name, "ip_version": if v6 { 6 } else { 4 }, "ip_set": entries });
        if let Some(max) = max {
            list["max_capacity"] = max.into();
        }
        // The vendor's default.
        let max = max.unwrap_or(20);
        if has_twice(&entries) {
            why.push(Why::EntryTwice);
        }
        if entries.len() > max {
            why.push(Why::Full);
        }
        let target = Version::V3.path("address-groups");
        let body = json!({ "address_group": list });
        let about = (Version::V3, About::AddressGroup);
        if self.ask(about, Method::POST, &target, &body, &why)?.is_some() {
            self.model.lists.insert(number, List { ids: Ids::default(), name, v6, max, entries });
            self.learn_list(number)?;
        }
        Ok(())
    }

    pub(super) fn update_list(
        &mut self,
        pick: u16,
        max: Option<usize>,
        picks: Option<&[usize]>,
    ) -> Result<(), String> {
        let number = self.list(pick);
        let number_of_name = self.model.number();
        let name = format!("l{number_of_name}");
        let v6 = self.model.lists.get(&number).is_some_and(|list| list.v6);
        let new = picks.map(|picks| entries(v6, picks));
        let mut list = json!({ "name": name });
        if let Some(max) = max {
            list["max_capacity"] = max.into();
        }
        if let Some(new) = &new {
            // The form with remarks says the same.
            let all: Vec<Value> = new.iter().map(|entry| json!({ "ip": entry })).collect();
            list["ip_extra_set"] = all.into();
        }
        let mut why = Vec::new();
        let mut after = self.model.lists.get(&number).cloned();
        match &mut after {
            None => why.push(Why::Unknown),
            Some(after) => {
                after.name = name;
                after.max = max.unwrap_or(after.max);
                if let Some(new) = new {
                    after.entries = new;
                }
                if has_twice(&after.entries) {
                    why.push(Why::EntryTwice);
                }
                if after.entries.len() > after.max {
                    why.push(Why::Full);
                }
            }
        }
        let target = format!("{}/{}", Version::V3.path("address-groups"), self.list_id(number).uuid);
        let body = json!({ "address_group": list });
        let done = self.ask((Version::V3, About::AddressGroup), Method::PUT, &target, &body, &why)?;
        if let (Some(_), Some(after)) = (done, after) {
            self.model.lists.insert(number, after);
        }
        Ok(())
    }
}
