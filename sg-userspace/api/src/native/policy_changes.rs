//! Routes of the history of changes: what each opened and closed, the documents that were in force, and going back. They must never
//! decide what can be undone: the service does. `mod.rs` calls `declare` once.

use std::time::{Duration, Instant};

use sg_api_types::{ChangeDetail, ChangePage, ChangeView, ChangesQuery, DiffQuery, DocumentText, Rollback};
use sg_records::KeyRole::{Admin, Editor};
use sg_service::{Kept, Refusal, summarise};

use super::{
    Native, compared::Compared, diff::Wanted, documents::Documents, error::Failed, request::RequestContext,
    route::Route, routes::Routes,
};

/// The most changes on a page: as many as are kept.
const MOST: u32 = 200;
/// How long finding out what changes did may take, in seconds.
const LONGEST: u32 = 3;

pub(super) fn declare(routes: &mut Routes) {
    let list = Route::get(
        "/v1/changes",
        "List changes of the policy, the newest first, with what they opened and closed",
    );
    routes.look::<ChangePage>(list.needs(Editor).with::<ChangesQuery>(), list_changes);
    let show = Route::get(
        "/v1/changes/{change}",
        "Show a change, with the packets that are judged differently since",
    );
    routes.look::<ChangeDetail>(show.needs(Editor).with::<DiffQuery>(), detail);
    let text = Route::get(
        "/v1/changes/{change}/text",
        "Read the document that a change put in force, under `sgd run`",
    );
    routes.look::<DocumentText>(text.needs(Admin), |native, context| {
        let documents = native.documents()?;
        // It may say what nobody else is to read; its file is not open to all, either.
        if !context.is_root() {
            return Err(Failed::Forbidden("only root reads documents, over the socket"));
        }
        let number = number(context)?;
        let (path, text) = (Documents::path(native), documents.text(number)?);
        let text = String::from_utf8(text).map_err(|error| Failed::Unreadable(error.to_string()))?;
        Ok(DocumentText { number, path, text })
    });
    let back = Route::post(
        "/v1/changes/{change}/rollback",
        "Make the policy that which was in force after this change, as one more change",
    );
    routes.change::<Rollback>(back.needs(Editor), |rollback, context| rollback.change = context.path());
}

/// The number of the change in the path.
fn number(context: &RequestContext) -> Result<u64, Failed> {
    Ok(sg_service::change_number(&context.path())?)
}

fn list_changes(native: &Native, context: &RequestContext) -> Result<ChangePage, Failed> {
    let ChangesQuery { limit, time } = context.query()?;
    let limit = limit.unwrap_or(MOST);
    if !(1..=MOST).contains(&limit) {
        return Err(Failed::Malformed(format!("limit: {limit} is not 1 to {MOST}")));
    }
    let time = time.unwrap_or(1);
    if time > LONGEST {
        return Err(Failed::Malformed(format!("time: {time} is not 0 to {LONGEST} seconds")));
    }
    let most = limit as usize;
    // As dear as a comparison. Without a place, what is known already is shown.
    let place = if time > 0 { native.places.comparing(context.role(), context.caller()).ok() } else { None };
    let until = place.as_ref().map(|_| Instant::now() + Duration::from_secs(u64::from(time)));
    let Some(service) = &native.service else {
        let documents = native.documents()?;
        let items = documents.views(most, until)?;
        return Ok(ChangePage { items, document: Some(Documents::path(native)) });
    };
    let committed = service.committed();
    if let Some(until) = until {
        summarise(&committed, most, until)?;
    }
    let oldest = committed.history.oldest_known();
    let newest = committed.history.changes().rev().take(most);
    Ok(ChangePage { items: newest.map(|kept| view(kept, oldest)).collect(), document: None })
}

fn view(kept: &Kept, oldest: u64) -> ChangeView {
    let change = kept.change().clone();
    ChangeView { kept: change.number >= oldest, summary: kept.summary().copied(), change }
}

fn detail(native: &Native, context: &RequestContext) -> Result<ChangeDetail, Failed> {
    let number = number(context)?;
    let wanted = Wanted::of(native, context)?;
    let (view, has_before) = if let Some(service) = &native.service {
        let committed = service.committed();
        let history = &committed.history;
        let (oldest, newest) = (history.oldest_known(), history.newest());
        let kept = history.find(number).ok_or(Refusal::ChangeNotKept { number, oldest, newest })?;
        (view(kept, oldest), number > oldest)
    } else {
        native.documents()?.view(number)?
    };
    let compare = || {
        let _place = native.places.comparing(context.role(), context.caller())?;
        wanted.compare(native, &Compared::after(native, number - 1)?, &Compared::after(native, number)?)
    };
    let comparison = (has_before && view.kept).then(compare).transpose()?;
    Ok(ChangeDetail { view, comparison })
}
