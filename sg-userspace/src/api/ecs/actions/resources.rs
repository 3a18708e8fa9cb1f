//! What groups are about and others manage: regions, and in time VPCs, instances and NICs.

use serde_json::json;

use super::{Answering, Handler};
use crate::api::ecs::{Answer, Call, router::Ecs};

pub(super) fn action(name: &str) -> Option<Handler> {
    Some(match name {
        "DescribeRegions" => describe_regions,
        _ => return None,
    })
}

fn describe_regions<'a>(ecs: &'a Ecs, _: &'a Call) -> Answering<'a> {
    Box::pin(async move {
        let regions: Vec<_> = ecs
            .regions
            .iter()
            .map(|region| json!({ "RegionId": region.id, "RegionEndpoint": region.endpoint, "LocalName": region.name }))
            .collect();
        Answer::of(&json!({ "Regions": { "Region": regions } }))
    })
}
