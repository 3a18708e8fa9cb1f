//! Routes of NICs, instances, and the groups that they hold. They must never decide what is allowed. `mod.rs` calls `declare`
//! once.

use serde::Deserialize;
use sg_service::{
    Filter, InstanceView, Join, Leave, ModifyNic, MoveGroup, NicQuery, NicView, Page, RegisterInstance,
    RegisterNic, RemoveInstances, RemoveNics, SetGroups, find_instances, find_nics,
};
use utoipa::IntoParams;

use sg_records::KeyRole::{Editor, Viewer};

use super::{route::Route, routes::Routes};

/// Selects instances, in addition to the common filters.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
struct InstanceQuery {
    /// Instances only whose primary NIC holds this group: id or name.
    group: Option<String>,
}

pub(super) fn declare(routes: &mut Routes) {
    let list = Route::get("/v1/nics", "List NICs").needs(Viewer).with::<Filter>().with::<NicQuery>().paged();
    routes.ask::<Page<NicView>>(list, |native, state, context| {
        Ok(find_nics(
            state,
            &native.store()?.devices(),
            &context.query()?,
            &context.query()?,
            &context.query()?,
        )?)
    });
    routes.change::<RegisterNic>(Route::post("/v1/nics", "Register a NIC").needs(Editor), |_, _| {});
    routes.ask::<NicView>(
        Route::get("/v1/nics/{nic}", "Show a NIC").needs(Viewer),
        |native, state, context| Ok(native.store()?.devices().view(state.find_nic(&context.path())?)),
    );
    routes.change::<ModifyNic>(
        Route::patch("/v1/nics/{nic}", "Modify a NIC").needs(Editor),
        |operation, context| {
            operation.nic = context.path();
        },
    );
    routes.order(Route::delete("/v1/nics/{nic}", "Delete a NIC").needs(Editor), |context| RemoveNics {
        nics: vec![context.path()],
    });
    let set = Route::put("/v1/nics/{nic}/groups", "Set the groups of a NIC, in order").needs(Editor);
    routes.change::<SetGroups>(set, |operation, context| operation.target = context.path());
    let to = Route::post("/v1/nics/{nic}/groups/move", "Move a group in the order of a NIC").needs(Editor);
    routes.change::<MoveGroup>(to, |operation, context| operation.target = context.path());
    routes
        .change::<Join>(Route::post("/v1/join", "Add NICs and instances to groups").needs(Editor), |_, _| {});
    routes.change::<Leave>(
        Route::post("/v1/leave", "Remove NICs and instances from groups").needs(Editor),
        |_, _| {},
    );

    let list = Route::get("/v1/instances", "List instances")
        .needs(Viewer)
        .with::<Filter>()
        .with::<InstanceQuery>()
        .paged();
    routes.ask::<Page<InstanceView>>(list, |native, state, context| {
        let query: InstanceQuery = context.query()?;
        Ok(find_instances(
            state,
            &native.store()?.devices(),
            &context.query()?,
            query.group.as_deref(),
            &context.query()?,
        )?)
    });
    routes.change::<RegisterInstance>(
        Route::post("/v1/instances", "Register an instance").needs(Editor),
        |_, _| {},
    );
    routes.ask::<InstanceView>(
        Route::get("/v1/instances/{instance}", "Show an instance").needs(Viewer),
        |native, state, context| {
            let instance = state.find_instance(&context.path())?;
            Ok(native.store()?.devices().instance_view(state, instance))
        },
    );
    let forget = Route::delete("/v1/instances/{instance}", "Delete an instance and its NICs").needs(Editor);
    routes.order(forget, |context| RemoveInstances { instances: vec![context.path()] });
}
