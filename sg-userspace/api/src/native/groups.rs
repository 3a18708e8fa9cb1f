//! Routes of VPCs and groups. They must never decide what is allowed. `mod.rs` calls `declare` once.

use sg_records::{Member, Vpc};
use sg_service::{
    ChangeMembers, CloneGroup, CreateGroup, CreateVpc, DeleteGroups, DeleteVpc, Filter, GroupQuery,
    GroupView, ModifyGroup, ModifyVpc, Page, PageRequest, Reference, RestoreRules, find_groups, find_vpcs,
    group_view, paginate, references,
};

use sg_records::KeyRole::{Editor, Viewer};

use super::{route::Route, routes::Routes};

pub(super) fn declare(routes: &mut Routes) {
    routes.ask::<Page<Vpc>>(
        Route::get("/v1/vpcs", "List VPCs").needs(Viewer).with::<Filter>().paged(),
        |_, state, context| Ok(find_vpcs(state, &context.query()?, &context.query()?)?),
    );
    routes.change::<CreateVpc>(Route::post("/v1/vpcs", "Create a VPC").needs(Editor), |_, _| {});
    routes.ask::<Vpc>(Route::get("/v1/vpcs/{vpc}", "Show a VPC").needs(Viewer), |_, state, context| {
        Ok(Vpc::clone(state.find_vpc(&context.path())?))
    });
    routes.change::<ModifyVpc>(
        Route::patch("/v1/vpcs/{vpc}", "Modify a VPC").needs(Editor),
        |operation, context| {
            operation.vpc = context.path();
        },
    );
    routes.order(Route::delete("/v1/vpcs/{vpc}", "Delete a VPC").needs(Editor), |context| DeleteVpc {
        vpc: context.path(),
    });

    let list =
        Route::get("/v1/groups", "List groups").needs(Viewer).with::<Filter>().with::<GroupQuery>().paged();
    routes.ask::<Page<GroupView>>(list, |_, state, context| {
        Ok(find_groups(state, &context.query()?, &context.query()?, &context.query()?)?)
    });
    routes.change::<CreateGroup>(Route::post("/v1/groups", "Create a group").needs(Editor), |_, _| {});
    routes.ask::<GroupView>(
        Route::get("/v1/groups/{group}", "Show a group").needs(Viewer),
        |_, state, context| Ok(group_view(state, state.find_group(&context.path())?)),
    );
    routes.change::<ModifyGroup>(
        Route::patch("/v1/groups/{group}", "Modify a group").needs(Editor),
        |operation, context| {
            operation.group = context.path();
        },
    );
    routes.order(Route::delete("/v1/groups/{group}", "Delete a group").needs(Editor), |context| {
        DeleteGroups { groups: vec![context.path()] }
    });
    routes.change::<DeleteGroups>(
        Route::post("/v1/groups/delete", "Delete several groups, all or none").needs(Editor),
        |_, _| {},
    );
    let by = Route::get("/v1/groups/{group}/references", "List the groups whose rules reference this group")
        .needs(Viewer);
    routes.ask::<Vec<Reference>>(by, |_, state, context| Ok(references(state, &context.path())?));
    routes.change::<CloneGroup>(
        Route::post("/v1/groups/{group}/clone", "Clone a group").needs(Editor),
        |operation, context| {
            operation.group = context.path();
        },
    );
    let restore =
        Route::post("/v1/groups/{group}/restore", "Restore the rules from another group").needs(Editor);
    routes.change::<RestoreRules>(restore, |operation, context| operation.group = context.path());
    let members =
        Route::get("/v1/groups/{group}/members", "List members on other hosts").needs(Viewer).paged();
    routes.ask::<Page<Member>>(members, |_, state, context| {
        let group = &state.find_group(&context.path())?.id;
        let page: PageRequest = context.query()?;
        let mut all: Vec<Member> = state.members_of(group).map(|member| Member::clone(member)).collect();
        all.sort_by_cached_key(|member| member.address.to_string());
        Ok(paginate(all.iter(), |member| member.address.to_string(), Clone::clone, &page)?)
    });
    let change =
        Route::post("/v1/groups/{group}/members", "Add and remove members on other hosts").needs(Editor);
    routes.change::<ChangeMembers>(change, |operation, context| operation.group = context.path());
}
