//! Routes of what is in force: status, effective rules, counters, flows. They need no store, and are the same under `sgd run` and
//! `sgd serve`, except that a store knows NICs by more than their devices. They must never decide what is in force. `mod.rs` calls
//! `declare` once.

use sg_agent::{Applied, InForce, NicRecord, Origin, PublishedImage, Refused};
use sg_api_types::{
    AppliedChange, DeleteFlows, DeletedFlows, EffectiveNic, FlowFilter, FlowLimit, FlowList, MOST_FLOWS,
    NicStatus, PendingChange, PolicySource, RefusedPolicy, ShowQuery, Stats, StatsQuery, Status, StoreCounts,
};
use sg_audit::Object;
use sg_inspect::{
    flows,
    show::{View, show},
    stats::stats,
};
use sg_model::whole_group;
use sg_records::KeyRole::{Admin, Viewer};
use sg_service::{Refusal, State};

use super::{Native, error::Failed, route::Route, routes::Routes};

/// How many flows are listed, unless the request says otherwise.
const FLOWS: usize = 10_000;

pub(super) fn declare(routes: &mut Routes) {
    let route = Route::get("/v1/status", "Show the status of the agent, and what is in force").needs(Viewer);
    routes.look::<Status>(route, |native, _| Ok(status(native)));

    let route =
        Route::get("/v1/show", "Show the effective rules of NICs in order of evaluation").needs(Viewer);
    routes.look::<Vec<EffectiveNic>>(route.with::<ShowQuery>(), |native, context| {
        let ShowQuery { nic, by_group, unused } = context.query()?;
        let device = nic.map(|nic| device(native, nic)).transpose()?;
        let view = if by_group { View::ByGroup } else { View::InOrder };
        let mut nics = show(&native.hits, device.as_deref(), view, unused)?;
        if let Some(state) = native.service.as_ref().map(sg_service::Service::snapshot) {
            for nic in &mut nics {
                nic.id = id(&state, &nic.device);
            }
        }
        Ok(nics)
    });

    let route = Route::get("/v1/stats", "Show the counters of rules, defaults and reasons").needs(Viewer);
    routes.look::<Stats>(route.with::<StatsQuery>(), |native, context| {
        let StatsQuery { nic, all } = context.query()?;
        let device = nic.map(|nic| device(native, nic)).transpose()?;
        let mut stats = stats(&native.instance, &native.hits.in_force().catalog, device.as_deref())?;
        if !all {
            stats.reasons.retain(|row| row.count.packets > 0);
        }
        Ok(stats)
    });

    let route = Route::get("/v1/flows", "List flows").needs(Viewer).with::<FlowFilter>().with::<FlowLimit>();
    routes.look::<FlowList>(route, |native, context| {
        let filter = filter(native, context.query()?)?;
        let FlowLimit { limit } = context.query()?;
        let limit = limit.map_or(FLOWS, |limit| limit as usize);
        if !(1..=MOST_FLOWS).contains(&limit) {
            return Err(Failed::Malformed(format!("limit: {limit} is not 1 to {MOST_FLOWS}")));
        }
        Ok(flows::list(&native.instance, &native.hits.in_force().catalog, &filter, limit)?)
    });
    let route = Route::post("/v1/flows/delete", "Delete flows").needs(Admin);
    let object = |wanted: &DeleteFlows, deleted: &DeletedFlows| {
        let wanted = serde_json::to_value(wanted).ok();
        Object::new("flows", deleted.deleted.to_string(), String::new(), [wanted, None], &[])
    };
    routes.touch::<DeleteFlows, DeletedFlows>(
        route,
        object,
        |native, _, DeleteFlows { filter: wanted, all }| {
            if native.service.is_none() {
                return Err(Failed::ReadOnly);
            }
            let filter = filter(native, wanted.clone())?;
            let catalog = &native.hits.in_force().catalog;
            Ok(DeletedFlows { deleted: flows::delete(&native.instance, catalog, &filter, *all)? })
        },
    );
}

/// The filter with the device of its NIC.
fn filter(native: &Native, filter: FlowFilter) -> Result<FlowFilter, Failed> {
    let nic = filter.nic.map(|nic| device(native, nic)).transpose()?;
    Ok(FlowFilter { nic, ..filter })
}

/// The device of a NIC of this host: in a store, it has an id and perhaps a name, too.
pub(super) fn device(native: &Native, nic: String) -> Result<String, Failed> {
    let Some(service) = &native.service else { return Ok(nic) };
    let state = service.snapshot();
    let found = match state.find_target(&nic) {
        // A device that has just left the store may still be in force.
        Err(Refusal::NotFound { .. }) if native.hits.in_force().catalog.nic(&nic).is_some() => {
            return Ok(nic);
        }
        found => found?,
    };
    found.device.clone().ok_or_else(|| {
        let message = format!("NIC {nic:?} is on another host: ask the agent there");
        Failed::Malformed(message)
    })
}

/// The id of a device's NIC in the store.
fn id(state: &State, device: &str) -> Option<String> {
    state.nic_of_device(device).map(|nic| nic.id.to_string())
}

fn status(native: &Native) -> Status {
    let in_force = native.hits.in_force();
    let state = native.service.as_ref().map(sg_service::Service::snapshot);
    let state = state.as_deref();
    let InForce {
        catalog,
        policy: _,
        images: _,
        origin,
        applied,
        refused,
        delayed,
        unreset: _,
        candidate: _,
    } = &*in_force;
    let is_attached = |device: &str| catalog.nic(device).is_some_and(|record| record.ifindex.is_some());
    let devices: Vec<&str> = match state {
        Some(state) => state.local_nics().filter_map(|nic| nic.device.as_deref()).collect(),
        None => catalog.nics.iter().map(|nic| nic.device.as_str()).collect(),
    };
    let waiting: Vec<String> =
        devices.iter().filter(|device| !is_attached(device)).map(|&device| device.to_owned()).collect();
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        instance: native.instance.name().to_owned(),
        agent_pid: catalog.pid,
        layout: catalog.abi_version,
        image_version: catalog.image_version,
        policy: match origin {
            Origin::Store => PolicySource::Store,
            Origin::Document { path, owner } => {
                PolicySource::Document { path: path.display().to_string(), owner_uid: *owner }
            }
        },
        applied: applied.map(|Applied { at, cause }| AppliedChange { at, cause: cause.name().to_owned() }),
        pending: catalog.pending.as_ref().map(|pending| PendingChange {
            id: pending.id,
            owner: pending.owner.clone(),
            deadline: pending.deadline,
        }),
        refused: refused.clone().map(|Refused { at, reason }| RefusedPolicy { at, reason }),
        delayed: delayed.to_vec(),
        store: state.map(store_counts),
        local_nics: devices.len(),
        attached: devices.len() - waiting.len(),
        waiting,
        unfiltered: catalog.left.iter().map(|left| left.device.clone()).collect(),
        pinned: catalog.pinned.name().to_owned(),
        wrong_secrets: native.attempts.count(),
        audit: native.recording.trail.status(),
        in_force: catalog.nics.iter().map(|nic| nic_status(nic, in_force.image(nic), state)).collect(),
    }
}

fn store_counts(state: &State) -> StoreCounts {
    StoreCounts {
        vpcs: state.vpcs().len(),
        groups: state.groups().len(),
        rules: state.rules().len(),
        nics: state.nics().len(),
        instances: state.instances().len(),
        prefix_lists: state.prefix_lists().len(),
        port_lists: state.port_lists().len(),
    }
}

fn nic_status(nic: &NicRecord, image: Option<PublishedImage>, state: Option<&State>) -> NicStatus {
    let NicRecord {
        device,
        slot: _,
        ifindex,
        hook,
        generation,
        groups,
        ingress_default: _,
        egress_default: _,
    } = nic;
    NicStatus {
        device: device.clone(),
        id: state.and_then(|state| id(state, device)),
        ifindex: *ifindex,
        hook: *hook,
        generation: *generation,
        image_bytes: image.map(|image| image.bytes),
        applied: image.map(|image| image.at),
        groups: groups.iter().map(|group| whole_group(group).to_owned()).collect(),
    }
}
