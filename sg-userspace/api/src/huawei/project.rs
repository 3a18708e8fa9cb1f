//! The vendor's projects: a region is a project here, and its id is derived from the region's name. A path, a header, a token: all
//! that name the project of a request must name the same one.
//!
//! It must never guess: a request whose project is not known is refused.

use std::collections::BTreeSet;

use sg_records::project_id;
use sg_service::State;

use super::problem::Problem;

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
        Self { id: project_id(region), region: region.to_owned() }
    }
}

/// Whether a text has the form of a project's id, whether there is such a project or not.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// All projects: that of the region of this server, `own`, and those of regions that have an object.
pub(super) fn projects<'a>(own: &'a str, state: &'a State) -> impl Iterator<Item = Project> + use<'a> {
    let mut regions: BTreeSet<&str> = state.regions().collect();
    regions.insert(own);
    regions.into_iter().map(Project::of)
}

/// The project that all of `named` name, which come from the path, a header and a token; that of the region
/// of this server, `own`, if there are none.
///
/// # Errors
/// A problem and a message, if they name different ones or one that is not known.
pub(super) fn only<'a>(
    own: &str,
    state: &State,
    named: impl IntoIterator<Item = &'a str>,
) -> Result<Project, (Problem, String)> {
    let mut named = named.into_iter();
    let own = Project::of(own);
    let Some(first) = named.next() else { return Ok(own) };
    if named.any(|other| other != first) {
        let message = "urlTenantId is not equal tokenTenantId: the path, X-Project-Id and the token name different projects.";
        return Err((Problem::OtherProject, message.to_owned()));
    }
    if first == own.id {
        return Ok(own);
    }
    let region = state.region_of_project(first).ok_or_else(|| {
        let shown: String = first.chars().take(64).collect();
        let message = format!(
            "There is no project {shown}: use the id that GET /v3/projects?name=REGION has for a region of this server."
        );
        (Problem::OtherProject, message)
    })?;
    Ok(Project { id: first.to_owned(), region: region.to_owned() })
}
