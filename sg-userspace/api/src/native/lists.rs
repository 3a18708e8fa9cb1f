//! Routes of lists, the same for every kind. They must never decide what is allowed. `mod.rs` calls `declare` once.

use serde::Deserialize;
use sg_records::{EntryList, PortEntry, PrefixEntry};
use sg_service::{
    CreateList, DeleteLists, Filter, ListView, ModifyList, Page, Reference, StoredEntry, find_lists,
    list_associations,
};

use utoipa::IntoParams;

use sg_records::KeyRole::{Editor, Viewer};

use super::{route::Route, routes::Routes};

/// What becomes of the rules that name a list.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
struct Naming {
    /// Also delete the rules that name the list. Without it, a list that a rule names is not deleted. Default: false.
    with_rules: bool,
}

pub(super) fn declare(routes: &mut Routes) {
    kind::<PrefixEntry>(
        routes,
        ["/v1/prefix-lists", "/v1/prefix-lists/{list}", "/v1/prefix-lists/{list}/associations"],
        ["List prefix lists", "Create a prefix list", "Show a prefix list", "Modify a prefix list"],
        "Delete a prefix list",
    );
    kind::<PortEntry>(
        routes,
        ["/v1/port-lists", "/v1/port-lists/{list}", "/v1/port-lists/{list}/associations"],
        ["List port lists", "Create a port list", "Show a port list", "Modify a port list"],
        "Delete a port list",
    );
}

fn kind<E: StoredEntry>(
    routes: &mut Routes,
    [all, one, associations]: [&'static str; 3],
    [list, create, show, modify]: [&'static str; 4],
    delete: &'static str,
) {
    let list = Route::get(all, list).needs(Viewer).with::<Filter>().paged();
    routes.ask::<Page<ListView<EntryList<E>>>>(list, |_, state, context| {
        Ok(find_lists(state, &context.query()?, &context.query()?)?)
    });
    routes.change::<CreateList<E>>(Route::post(all, create).needs(Editor), |_, _| {});
    routes.ask::<EntryList<E>>(Route::get(one, show).needs(Viewer), |_, state, context| {
        Ok(EntryList::clone(state.find_list::<E>(&context.path())?))
    });
    routes.change::<ModifyList<E>>(Route::patch(one, modify).needs(Editor), |operation, context| {
        operation.list = context.path();
    });
    let delete = Route::delete(one, delete).needs(Editor).with::<Naming>();
    routes.order_by_query(delete, |context| {
        let naming: Naming = context.query()?;
        Ok(DeleteLists::<E>::new(vec![context.path()]).with_rules(naming.with_rules))
    });
    let by = Route::get(associations, "List the groups whose rules reference the list").needs(Viewer);
    routes.ask::<Vec<Reference>>(by, |_, state, context| Ok(list_associations::<E>(state, &context.path())?));
}
