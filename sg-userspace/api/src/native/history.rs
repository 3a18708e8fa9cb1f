//! The route of the audit trail. It must never write it. `mod.rs` calls `declare` once.

use sg_audit::{HistoryPage, HistoryQuery, LARGEST_PAGE, Trail, read};
use sg_records::KeyRole::Admin;

use super::{error::Failed, request::RequestContext, route::Route, routes::Routes};

/// The page of the trail that a request asks for. A function of the trail alone, for every router that has one.
pub(super) fn history(trail: &Trail, context: &RequestContext) -> Result<HistoryPage, Failed> {
    let query: HistoryQuery = context.query()?;
    if query.limit.is_some_and(|limit| !(1..=LARGEST_PAGE).contains(&limit)) {
        return Err(Failed::Malformed(format!("limit: 1 to {LARGEST_PAGE} are allowed")));
    }
    let Some(path) = trail.path() else {
        return Err(Failed::Malformed("this sgd keeps no audit trail".to_owned()));
    };
    read(path, &query).map_err(|error| Failed::Unreadable(error.to_string()))
}

pub(super) fn declare(routes: &mut Routes) {
    let list = Route::get("/v1/history", "List changes and refusals, the newest first").needs(Admin);
    routes.look::<HistoryPage>(list.with::<HistoryQuery>(), |native, context| {
        history(&native.recording.trail, context)
    });
}
