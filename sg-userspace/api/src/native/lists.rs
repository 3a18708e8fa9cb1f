//! Routes of prefix lists and port lists. They must never decide what is allowed. `mod.rs` calls `declare` once.

use sg_records::{PortList, PrefixList};
use sg_service::{
    CreatePortList, CreatePrefixList, DeletePortLists, DeletePrefixLists, Filter, ListView, ModifyPortList,
    ModifyPrefixList, Page, Reference, find_port_lists, find_prefix_lists, port_list_associations,
    prefix_list_associations,
};

use super::routes::{Route, Routes};

pub(super) fn declare(routes: &mut Routes) {
    let list = Route::get("/v1/prefix-lists", "List prefix lists").with::<Filter>().paged();
    routes.ask::<Page<ListView<PrefixList>>>(list, |_, state, asked| {
        Ok(find_prefix_lists(state, &asked.query()?, &asked.query()?)?)
    });
    routes.change::<CreatePrefixList>(Route::post("/v1/prefix-lists", "Create a prefix list"), |_, _| {});
    routes
        .ask::<PrefixList>(Route::get("/v1/prefix-lists/{list}", "Show a prefix list"), |_, state, asked| {
            Ok(PrefixList::clone(state.find_prefix_list(&asked.path())?))
        });
    let modify = Route::patch("/v1/prefix-lists/{list}", "Modify a prefix list");
    routes.change::<ModifyPrefixList>(modify, |operation, asked| operation.list = asked.path());
    let delete = Route::delete("/v1/prefix-lists/{list}", "Delete a prefix list");
    routes.order(delete, |asked| DeletePrefixLists { lists: vec![asked.path()] });
    let by =
        Route::get("/v1/prefix-lists/{list}/associations", "List the groups whose rules reference the list");
    routes.ask::<Vec<Reference>>(by, |_, state, asked| Ok(prefix_list_associations(state, &asked.path())?));

    let list = Route::get("/v1/port-lists", "List port lists").with::<Filter>().paged();
    routes.ask::<Page<ListView<PortList>>>(list, |_, state, asked| {
        Ok(find_port_lists(state, &asked.query()?, &asked.query()?)?)
    });
    routes.change::<CreatePortList>(Route::post("/v1/port-lists", "Create a port list"), |_, _| {});
    routes.ask::<PortList>(Route::get("/v1/port-lists/{list}", "Show a port list"), |_, state, asked| {
        Ok(PortList::clone(state.find_port_list(&asked.path())?))
    });
    let modify = Route::patch("/v1/port-lists/{list}", "Modify a port list");
    routes.change::<ModifyPortList>(modify, |operation, asked| operation.list = asked.path());
    let delete = Route::delete("/v1/port-lists/{list}", "Delete a port list");
    routes.order(delete, |asked| DeletePortLists { lists: vec![asked.path()] });
    let by =
        Route::get("/v1/port-lists/{list}/associations", "List the groups whose rules reference the list");
    routes.ask::<Vec<Reference>>(by, |_, state, asked| Ok(port_list_associations(state, &asked.path())?));
}
