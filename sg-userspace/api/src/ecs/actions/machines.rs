//! Actions on what clients ask of instances besides their groups: states, attributes, disks, types, zones, the data of users. Much
//! of that is not here, and lists of it are empty, so that clients go on. It must never invent any of it.

use serde_json::{Value, json};
use sg_records::{Instance, InstanceId, KeyRole};
use sg_service::State;

use super::{
    action::{Action, ActionFuture},
    common::{ZONE, region, tags},
    instances::{RUNNING, instance_shown},
    pagination::{self, Window},
    parameter::{
        DRY_RUN, Parameter, REGION, TAG_FILTER, integer, list_of, pages, refused, text, texts, without_effect,
    },
};
use crate::ecs::{Call, Ecs, Fault, Response};

const INSTANCE: Parameter = text("InstanceId", "").required();

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "DescribeInstanceStatus",
        about: "Lists instances with their state, which is `Running`.",
        role: KeyRole::Viewer,
        handler: describe_status,
        parameters: &[
            &[
                REGION,
                texts("InstanceId", ""),
                text("ZoneId", "no instance has one"),
                refused("ClusterId", "instances are in no clusters here"),
            ],
            pages!(50),
        ],
    },
    Action {
        name: "DescribeInstanceAttribute",
        about: "Shows an instance.",
        role: KeyRole::Viewer,
        handler: describe_attribute,
        parameters: &[&[text("RegionId", "that of the instance"), INSTANCE]],
    },
    Action {
        name: "DescribeUserData",
        about: "Shows the data that an instance was started with: none.",
        role: KeyRole::Viewer,
        handler: describe_user_data,
        parameters: &[&[REGION, INSTANCE]],
    },
    Action {
        name: "DescribeDisks",
        about: "Lists disks: none, since this server does not know those of the machines.",
        role: KeyRole::Viewer,
        handler: describe_disks,
        parameters: &[&[REGION, DRY_RUN], TAG_FILTER, pages!(500), OF_DISKS],
    },
    Action {
        name: "DescribeInstanceTypes",
        about: "Lists the types of instances: none, since this server starts no machines.",
        role: KeyRole::Viewer,
        handler: describe_types,
        parameters: &[
            &[
                without_effect("RegionId", "the older Python SDK adds its own region to every request"),
                integer("MaxResults", "1 to 1600"),
                text("NextToken", "of the previous page"),
            ],
            OF_TYPES,
        ],
    },
    Action {
        name: "DescribeZones",
        about: "Lists the zones of a region: none.",
        role: KeyRole::Viewer,
        handler: describe_zones,
        parameters: &[&[
            REGION,
            without_effect("AcceptLanguage", NO_ZONES),
            without_effect("InstanceChargeType", NO_ZONES),
            without_effect("SpotStrategy", NO_ZONES),
            without_effect("Verbose", NO_ZONES),
            without_effect("ZoneType", NO_ZONES),
        ]],
    },
];

const NO_ZONES: &str = "regions have no zones here";
const NO_DISKS: &str = "there are no disks here to select from";
const NO_TYPES: &str = "there are no types here to select from";

/// The filters of disks.
const OF_DISKS: &[Parameter] = &[
    without_effect("DiskIds", NO_DISKS),
    without_effect("InstanceId", NO_DISKS),
    without_effect("ZoneId", NO_DISKS),
    without_effect("ResourceGroupId", NO_DISKS),
    list_of(without_effect("AdditionalAttributes", NO_DISKS)),
    without_effect("AutoSnapshotPolicyId", NO_DISKS),
    without_effect("Category", NO_DISKS),
    without_effect("DeleteAutoSnapshot", NO_DISKS),
    without_effect("DeleteWithInstance", NO_DISKS),
    without_effect("DiskChargeType", NO_DISKS),
    without_effect("DiskName", NO_DISKS),
    without_effect("DiskType", NO_DISKS),
    without_effect("EnableAutoSnapshot", NO_DISKS),
    without_effect("EnableAutomatedSnapshotPolicy", NO_DISKS),
    without_effect("EnableShared", NO_DISKS),
    without_effect("Encrypted", NO_DISKS),
    without_effect("KMSKeyId", NO_DISKS),
    without_effect("LockReason", NO_DISKS),
    without_effect("MultiAttach", NO_DISKS),
    without_effect("PerformanceLevel", NO_DISKS),
    without_effect("Portable", NO_DISKS),
    without_effect("SnapshotId", NO_DISKS),
    without_effect("Status", NO_DISKS),
    without_effect("Filter.N.Key", NO_DISKS),
    without_effect("Filter.N.Value", NO_DISKS),
];

/// The filters of types.
const OF_TYPES: &[Parameter] = &[
    list_of(without_effect("AdditionalAttributes", NO_TYPES)),
    without_effect("CpuArchitecture", NO_TYPES),
    list_of(without_effect("CpuArchitectures", NO_TYPES)),
    without_effect("GPUSpec", NO_TYPES),
    list_of(without_effect("GpuSpecs", NO_TYPES)),
    list_of(without_effect("InstanceCategories", NO_TYPES)),
    without_effect("InstanceCategory", NO_TYPES),
    without_effect("InstanceFamilyLevel", NO_TYPES),
    list_of(without_effect("InstanceTypeFamilies", NO_TYPES)),
    without_effect("InstanceTypeFamily", NO_TYPES),
    list_of(without_effect("InstanceTypes", NO_TYPES)),
    list_of(without_effect("LocalStorageCategories", NO_TYPES)),
    without_effect("LocalStorageCategory", NO_TYPES),
    without_effect("MaximumCpuCoreCount", NO_TYPES),
    without_effect("MaximumCpuSpeedFrequency", NO_TYPES),
    without_effect("MaximumCpuTurboFrequency", NO_TYPES),
    without_effect("MaximumGPUAmount", NO_TYPES),
    without_effect("MaximumMemorySize", NO_TYPES),
    without_effect("MinimumBaselineCredit", NO_TYPES),
    without_effect("MinimumCpuCoreCount", NO_TYPES),
    without_effect("MinimumCpuSpeedFrequency", NO_TYPES),
    without_effect("MinimumCpuTurboFrequency", NO_TYPES),
    without_effect("MinimumDiskQuantity", NO_TYPES),
    without_effect("MinimumEniIpv6AddressQuantity", NO_TYPES),
    without_effect("MinimumEniPrivateIpAddressQuantity", NO_TYPES),
    without_effect("MinimumEniQuantity", NO_TYPES),
    without_effect("MinimumEriQuantity", NO_TYPES),
    without_effect("MinimumGPUAmount", NO_TYPES),
    without_effect("MinimumInitialCredit", NO_TYPES),
    without_effect("MinimumInstanceBandwidthRx", NO_TYPES),
    without_effect("MinimumInstanceBandwidthTx", NO_TYPES),
    without_effect("MinimumInstancePpsRx", NO_TYPES),
    without_effect("MinimumInstancePpsTx", NO_TYPES),
    without_effect("MinimumLocalStorageAmount", NO_TYPES),
    without_effect("MinimumLocalStorageCapacity", NO_TYPES),
    without_effect("MinimumMemorySize", NO_TYPES),
    without_effect("MinimumPrimaryEniQueueNumber", NO_TYPES),
    without_effect("MinimumQueuePairNumber", NO_TYPES),
    without_effect("MinimumSecondaryEniQueueNumber", NO_TYPES),
    without_effect("NvmeSupport", NO_TYPES),
    without_effect("PhysicalProcessorModel", NO_TYPES),
    list_of(without_effect("PhysicalProcessorModels", NO_TYPES)),
];

fn describe_status<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let (region, window) = (region(call)?, Window::read(call, 50)?);
        let (ids, zone) = (fields.list("InstanceId")?, fields.text("ZoneId"));
        let state = ecs.service.snapshot();
        let admits = |instance: &Instance| {
            instance.region == region
                && zone.is_none_or(|zone| zone == ZONE)
                && (ids.is_empty() || ids.iter().any(|id| id == instance.id.as_str()))
        };
        let found: Vec<_> = state.instances().values().filter(|instance| admits(instance)).collect();
        let (page, mut response) = window.of(&found, |instance| instance.id.to_string());
        let shown = |instance: &Instance| json!({ "InstanceId": instance.id, "Status": RUNNING });
        let statuses: Vec<Value> = page.iter().map(|instance| shown(instance)).collect();
        response.insert("InstanceStatuses".to_owned(), json!({ "InstanceStatus": statuses }));
        Response::of(&response)
    })
}

/// The instance that the call names, in its region if it says one.
fn named<'a>(state: &'a State, call: &Call) -> Result<&'a Instance, Fault> {
    let fields = call.fields();
    let (region, id) = (fields.text("RegionId"), InstanceId::from(fields.required(INSTANCE.name)?));
    let found = state.instance(&id).filter(|found| region.is_none_or(|region| found.region == region));
    let missing =
        || Fault::not_found("InvalidInstanceId.NotFound", "The specified InstanceId does not exist.");
    found.map(AsRef::as_ref).ok_or_else(missing)
}

fn describe_attribute<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let state = ecs.service.snapshot();
        Response::of(&instance_shown(&state, &ecs.service.devices(), named(&state, call)?))
    })
}

fn describe_user_data<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let region = region(call)?;
        let state = ecs.service.snapshot();
        let instance = named(&state, call)?;
        Response::of(&json!({ "RegionId": region, "InstanceId": instance.id, "UserData": "" }))
    })
}

fn describe_disks<'a>(_: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        region(call)?;
        tags(&call.fields())?;
        let (_, mut response) = Window::read(call, 500)?.of::<String>(&[], Clone::clone);
        response.insert("Disks".to_owned(), json!({ "Disk": [] }));
        Response::of(&response)
    })
}

fn describe_types<'a>(_: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        call.fields().integer::<u32>("MaxResults")?;
        pagination::after(call)?;
        Response::of(&json!({ "InstanceTypes": { "InstanceType": [] }, "NextToken": "" }))
    })
}

fn describe_zones<'a>(_: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        region(call)?;
        Response::of(&json!({ "Zones": { "Zone": [] } }))
    })
}
