//! The vendor's projects: a region is a project here, and its id is derived from the region's name. A path, a header, a token: all
//! that name the project of a request must name the same one.
//!
//! It must never guess: a request whose project is not known is refused.

use std::collections::BTreeSet;

use sg_service::State;

use super::{Huawei, problem::Problem};
use crate::signature::sha256_hex;

/// A project.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Project {
    /// 32 hexadecimal digits.
    pub(super) id: String,
    /// The region, which is the project's name, too.
    pub(super) region: String,
}

impl Project {
    /// The project of a region.
    pub(super) fn of(region: &str) -> Self {
        let mut id = sha256_hex(format!("project of region {region}").as_bytes());
        id.truncate(32);
        Self { id, region: region.to_owned() }
    }
}

/// All projects: that of the region of this server, and those of regions that have an object.
pub(super) fn projects(huawei: &Huawei, state: &State) -> Vec<Project> {
    let mut regions = BTreeSet::from([huawei.region.as_str()]);
    regions.extend(state.groups().values().map(|group| group.region.as_str()));
    regions.extend(state.vpcs().values().map(|vpc| vpc.region.as_str()));
    regions.extend(state.nics().values().map(|nic| nic.region.as_str()));
    regions.into_iter().map(Project::of).collect()
}

/// The project that all of `named` name, which come from the path, a header and a token; the one of this server if there are none.
///
/// # Errors
/// A problem and a message, if they name different ones or one that is not known.
pub(super) fn only<'a>(
    huawei: &Huawei,
    state: &State,
    named: impl IntoIterator<Item = &'a str>,
) -> Result<Project, (Problem, String)> {
    let mut named = named.into_iter();
    let Some(first) = named.next() else { return Ok(Project::of(&huawei.region)) };
    if named.any(|other| other != first) {
        let message = "urlTenantId is not equal tokenTenantId: the path, X-Project-Id and the token name different projects.";
        return Err((Problem::OtherProject, message.to_owned()));
    }
    projects(huawei, state).into_iter().find(|project| project.id == first).ok_or_else(|| {
        let shown: String = first.chars().take(64).collect();
        let message = format!(
            "There is no project {shown}: use the id that GET /v3/projects?name=REGION has for a region of this server."
        );
        (Problem::OtherProject, message)
    })
}
