//! Tags, NICs, VPCs and reports: codes of refusals, pages, and what is told of each.

use axum::Router;
use serde_json::{Value, json};
use sg_service::{CreateVpc, NewLabel, RegisterNic, Service};

use super::{Reply, ask, common, declared::furnished, ecs, get, pairs, router};

/// Calls an action in the region of what is furnished.
async fn call(face: &Router, action: &str, parameters: &[(&str, &str)]) -> Reply {
    thread_local! { static NONCE: std::cell::Cell<u32> = const { std::cell::Cell::new(0) }; }
    let nonce = NONCE.replace(NONCE.get() + 1);
    let mut all = common(action, &format!("resources-{nonce}"));
    all.extend(pairs(&[("RegionId", "r")]));
    all.extend(pairs(parameters));
    ask(face, get(all)).await
}

async fn done(face: &Router, action: &str, parameters: &[(&str, &str)]) -> Value {
    let reply = call(face, action, parameters).await;
    assert_eq!(reply.status, 200, "{action}: {reply:?}");
    reply.json()
}

async fn refused(face: &Router, action: &str, parameters: &[(&str, &str)]) -> (u16, String) {
    call(face, action, parameters).await.refusal()
}

fn code(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn requests_about_tags_have_their_limits() {
    let (face, ids) = furnished().await;
    let group = ids["first"].as_str();
    let one = [("ResourceType", "securitygroup"), ("ResourceId.1", group)];
    for action in ["TagResources", "UntagResources"] {
        assert_eq!(refused(&face, action, &one).await, code(400, "MissingParameter"), "{action}");
    }
    let many = |name: &'static str, number: u32, value: &'static str| {
        (1..=number).map(move |number| {
            (name.replace('N', &number.to_string()), value.replace('N', &number.to_string()))
        })
    };
    let with = async |action: &str, extra: Vec<(String, String)>, rest: &[(&str, &str)]| {
        let extra: Vec<(&str, &str)> =
            extra.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        call(&face, action, &[&extra[..], rest].concat()).await
    };
    let tags = |number| many("Tag.N.Key", number, "kN").collect();
    assert_eq!(with("TagResources", tags(21), &one).await.refusal(), code(400, "NumberExceed.Tags"));
    assert_eq!(with("TagResources", tags(20), &one).await.status, 200);
    assert_eq!(
        with("UntagResources", many("TagKey.N", 21, "kN").collect(), &one).await.refusal(),
        code(400, "NumberExceed.Tags")
    );
    let resources = many("ResourceId.N", 51, "sg-N").collect();
    let rest = [("ResourceType", "securitygroup"), ("Tag.1.Key", "k")];
    assert_eq!(with("TagResources", resources, &rest).await.refusal(), code(400, "NumberExceed.ResourceIds"));

    let key = |key| [one[0], one[1], ("Tag.1.Key", key), ("Tag.1.Value", "v")];
    assert_eq!(refused(&face, "TagResources", &key("more")).await, code(403, "QuotaExceed.TagsPerResource"));
    assert_eq!(
        refused(&face, "TagResources", &key("aliyun")).await,
        code(403, "QuotaExceed.TagsPerResource")
    );
    done(&face, "UntagResources", &[one[0], one[1], ("All", "true")]).await;
    assert_eq!(refused(&face, "TagResources", &key("aliyun")).await, code(400, "InvalidTagKey.Malformed"));
    let value = [one[0], one[1], ("Tag.1.Key", "k"), ("Tag.1.Value", "http://x")];
    assert_eq!(refused(&face, "TagResources", &value).await, code(400, "InvalidTagValue.Malformed"));
    let twice = [one[0], one[1], ("Tag.1.Key", "k"), ("Tag.2.Key", "k")];
    assert_eq!(refused(&face, "TagResources", &twice).await, code(400, "Duplicate.TagKey"));
    let elsewhere = [("RegionId", "other"), one[0], one[1], ("Tag.1.Key", "k")];
    assert_eq!(refused(&face, "TagResources", &elsewhere).await, code(404, "InvalidResourceId.NotFound"));
    // The id of a NIC is none of a group.
    let other = [("ResourceType", "securitygroup"), ("ResourceId.1", &ids["nic"]), ("Tag.1.Key", "k")];
    assert_eq!(refused(&face, "TagResources", &other).await, code(404, "InvalidResourceId.NotFound"));
    for kind in ["disk", "rule", "vpc"] {
        let asked = [("ResourceType", kind), one[1], ("Tag.1.Key", "k")];
        assert_eq!(
            refused(&face, "TagResources", &asked).await,
            code(404, "InvalidResourceType.NotFound"),
            "{kind}"
        );
    }
    assert_eq!(refused(&face, "ListTagResources", &one[..1]).await, code(400, "MissingParameter"));
}

async fn many_nics(service: &Service, number: u32) {
    let label = |name: &str, tags: &[(&str, String)]| NewLabel {
        name: name.to_owned(),
        tags: tags.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
        ..NewLabel::default()
    };
    let vpc = CreateVpc { label: label("net", &[]), region: "r".to_owned(), ..CreateVpc::default() };
    let vpc = service.submit(vpc).await.unwrap().id.to_string();
    for number in 0..number {
        let nic = RegisterNic {
            id: Some(format!("eni-{number:03}")),
            label: label("", &[("all", String::new()), ("half", (number % 2).to_string())]),
            vpc: Some(vpc.clone()),
            addresses: vec![format!("10.0.0.{number}").parse().unwrap()],
            ..RegisterNic::default()
        };
        service.submit(nic).await.unwrap();
    }
}

#[tokio::test]
async fn tags_are_listed_by_resource_and_counted() {
    let ecs = ecs(super::NOW);
    many_nics(&ecs.service, 60).await;
    let face = router(ecs);
    let listed = |json: &Value| {
        let tags = json["TagResources"]["TagResource"].as_array().unwrap();
        tags.iter().map(|tag| tag["ResourceId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = [("ResourceType", "eni"), ("Tag.1.Key", "all")];
    let first = done(&face, "ListTagResources", &all).await;
    assert_eq!((listed(&first).len(), first["TotalCount"].is_null()), (50, true));
    let token = first["NextToken"].as_str().unwrap();
    let second = done(&face, "ListTagResources", &[all[0], all[1], ("NextToken", token)]).await;
    assert_eq!(listed(&second), (50..60).map(|number| format!("eni-{number:03}")).collect::<Vec<_>>());
    assert_eq!(second["NextToken"], "");
    assert_eq!(refused(&face, "ListTagResources", &[all[0], all[1], ("NextToken", "eni-3")]).await.0, 400);

    let both = [all[0], all[1], ("Tag.2.Key", "half"), ("Tag.2.Value", "1"), ("MaxResults", "2")];
    let two = done(&face, "ListTagResources", &both).await;
    assert_eq!(listed(&two), ["eni-001", "eni-001", "eni-003", "eni-003"], "two tags of each");
    let like = [all[0], ("TagFilter.1.TagKey", "ha*"), ("TagFilter.1.TagValues.1", "0"), ("MaxResults", "1")];
    assert_eq!(
        done(&face, "ListTagResources", &like).await["TagResources"]["TagResource"],
        json!([
            { "ResourceId": "eni-000", "ResourceType": "eni", "TagKey": "half", "TagValue": "0" }
        ])
    );
    let mixed = [all[0], all[1], ("TagFilter.1.TagKey", "half")];
    assert_eq!(refused(&face, "ListTagResources", &mixed).await, code(400, "InvalidParameter"));

    let counted = done(&face, "DescribeTags", &[]).await;
    let count = |number| json!({ "Instance": 0, "Securitygroup": 0, "Eni": number });
    assert_eq!((&counted["TotalCount"], &counted["PageSize"]), (&json!(3), &json!(50)));
    assert_eq!(
        counted["Tags"]["Tag"],
        json!([
            { "TagKey": "all", "TagValue": "", "ResourceTypeCount": count(60) },
            { "TagKey": "half", "TagValue": "0", "ResourceTypeCount": count(30) },
            { "TagKey": "half", "TagValue": "1", "ResourceTypeCount": count(30) },
        ])
    );
    let page = done(&face, "DescribeTags", &[("PageSize", "1"), ("PageNumber", "3")]).await;
    assert_eq!(page["Tags"]["Tag"][0]["TagValue"], "1");
    for none in [("ResourceType", "disk"), ("ResourceType", "instance"), ("ResourceId", "eni-none")] {
        assert_eq!(done(&face, "DescribeTags", &[none]).await["TotalCount"], 0, "{none:?}");
    }
}

#[tokio::test]
async fn vpcs_are_of_both_products() {
    let (face, ids) = furnished().await;
    let of_vpcs = ("Version", "2016-04-28");
    let tagged = [of_vpcs, ("VpcName", "tagged"), ("Tag.1.Key", "k"), ("Tag.1.Value", "v")];
    let vpc = done(&face, "CreateVpc", &tagged).await["VpcId"].as_str().unwrap().to_owned();
    for (version, names) in [(of_vpcs.1, ["Key", "Value"]), ("2014-05-26", ["TagKey", "TagValue"])] {
        let shown = done(&face, "DescribeVpcs", &[("Version", version), ("VpcId", &vpc)]).await;
        let tags = json!([{ (names[0]): "k", (names[1]): "v" }]);
        assert_eq!(shown["Vpcs"]["Vpc"][0]["Tags"]["Tag"], tags, "{version}");
    }
    // As the vendor does for a VPC without a range.
    let vswitches = done(&face, "DescribeVSwitches", &[of_vpcs, ("VpcId", &vpc)]).await;
    let vswitch = &vswitches["VSwitches"]["VSwitch"][0];
    assert_eq!(
        (&vswitch["CidrBlock"], &vswitch["AvailableIpAddressCount"]),
        (&json!("172.16.0.0/12"), &json!(1_048_572))
    );
    assert_eq!(vswitch["VSwitchId"], vpc.replace("vpc-", "vsw-"));
    done(&face, "DeleteVpc", &[of_vpcs, ("VpcId", &vpc)]).await;
    let other = [of_vpcs, ("ResourceType", "eni"), ("ResourceId.1", ids["nic"].as_str()), ("Tag.1.Key", "k")];
    assert_eq!(refused(&face, "TagResources", &other).await, code(400, "InvalidVersion"));

    for wrong in ["10.0.0.0", "10.0.0.0/30", "10.0.0.1/24", "2001:db8::/32", "x"] {
        assert_eq!(
            refused(&face, "CreateVpc", &[("CidrBlock", wrong)]).await,
            code(400, "InvalidParameter"),
            "{wrong}"
        );
    }
    assert_eq!(refused(&face, "CreateVpc", &[("VpcName", "1")]).await, code(400, "InvalidVpcName.Malformed"));
    let address = [("Description", "http://x")];
    assert_eq!(refused(&face, "CreateVpc", &address).await, code(400, "InvalidVpcDiscription.Malformed"));
    assert_eq!(refused(&face, "CreateVpc", &[("DryRun", "true")]).await, code(400, "DryRunOperation"));
    assert_eq!(done(&face, "DescribeVpcs", &[]).await["TotalCount"], 1);
    let elsewhere = [("RegionId", "other"), ("VpcId", ids["vpc"].as_str())];
    assert_eq!(refused(&face, "DeleteVpc", &elsewhere).await, code(404, "InvalidVpcId.NotFound"));
    assert_eq!(refused(&face, "DeleteVpc", &[elsewhere[1]]).await, code(400, "DependencyViolation.Instance"));
}

#[tokio::test]
async fn names_and_groups_change_together_or_not_at_all() {
    let (face, ids) = furnished().await;
    let [instance, nic, first] = ["instance", "nic", "first"].map(|name| ids[name].as_str());
    let shown = async || {
        let shown = done(&face, "DescribeNetworkInterfaceAttribute", &[("NetworkInterfaceId", nic)]).await;
        (shown["NetworkInterfaceName"].clone(), shown["SecurityGroupIds"]["SecurityGroupId"].clone())
    };
    let rename = |name, group| {
        [("NetworkInterfaceId", nic), ("NetworkInterfaceName", name), ("SecurityGroupId.1", group)]
    };
    let group = done(&face, "CreateSecurityGroup", &[("VpcId", &ids["vpc"])]).await;
    let group = group["SecurityGroupId"].as_str().unwrap();
    let wrong = refused(&face, "ModifyNetworkInterfaceAttribute", &rename("1", group)).await;
    assert_eq!(wrong, code(400, "InvalidParameter"));
    let classic = done(&face, "CreateSecurityGroup", &[]).await;
    let classic = classic["SecurityGroupId"].as_str().unwrap();
    let wrong = refused(&face, "ModifyNetworkInterfaceAttribute", &rename("leg", classic)).await;
    assert_eq!(wrong, code(403, "InvalidSecurityGroupId.NotVpc"));
    assert_eq!(shown().await, (json!(""), json!([first])));
    done(&face, "ModifyNetworkInterfaceAttribute", &rename("leg", group)).await;
    assert_eq!(shown().await, (json!("leg"), json!([group])));

    let modify =
        |name, group| [("InstanceId", instance), ("InstanceName", name), ("SecurityGroupIds.1", group)];
    let wrong = refused(&face, "ModifyInstanceAttribute", &modify("1", first)).await;
    assert_eq!(wrong, code(400, "InvalidInstanceName.Malformed"));
    assert_eq!(shown().await.1, json!([group]));
    done(&face, "ModifyInstanceAttribute", &modify("web2", first)).await;
    let attributes = done(&face, "DescribeInstanceAttribute", &[("InstanceId", instance)]).await;
    assert_eq!((&attributes["InstanceName"], shown().await.1), (&json!("web2"), json!([first])));
    for (name, value) in [("InstanceId", "i-none"), ("RegionId", "other")] {
        let asked = [("InstanceId", instance), ("InstanceName", "web3"), (name, value)];
        assert_eq!(
            refused(&face, "ModifyInstanceAttribute", &asked).await,
            code(404, "InvalidInstanceId.NotFound")
        );
    }
}

#[tokio::test]
async fn a_report_says_what_does_not_reach_an_instance() {
    let (face, ids) = furnished().await;
    let (instance, group) = (ids["instance"].as_str(), ids["first"].as_str());
    let report = async |options: &[(&str, &str)]| {
        let asked = [&[("ResourceId", instance)][..], options].concat();
        let made = done(&face, "CreateDiagnosticReport", &asked).await;
        let id = made["ReportId"].as_str().unwrap().to_owned();
        done(&face, "DescribeDiagnosticReportAttributes", &[("ReportId", &id)]).await
    };
    let issues = |report: &Value| {
        let issues = report["MetricResults"]["MetricResult"][0]["Issues"]["Issue"].as_array().unwrap();
        issues
            .iter()
            .map(|issue| issue["IssueId"].as_str().unwrap().replace("Instance.SGIngress.", ""))
            .collect::<Vec<_>>()
    };
    let closed = report(&[]).await;
    assert_eq!(closed["Severity"], "Info");
    assert_eq!(issues(&closed), ["22SSH", "80HTTP", "443HTTPS", "3389RDP", "8080HTTP", "ICMPecho"]);
    let why = &closed["MetricResults"]["MetricResult"][0]["Issues"]["Issue"][0]["Additional"];
    let why: Value = serde_json::from_str(why.as_str().unwrap()).unwrap();
    assert_eq!(
        (&why["Port"], &why["Verdict"], &why["SourceIp"]),
        (&json!("22 SSH"), &json!("drop"), &json!("203.0.113.1"))
    );

    let open = |protocol, ports, from| {
        [("SecurityGroupId", group), ("IpProtocol", protocol), ("PortRange", ports), ("SourceCidrIp", from)]
    };
    done(&face, "AuthorizeSecurityGroup", &open("tcp", "22/22", "192.0.2.0/24")).await;
    assert_eq!(issues(&report(&[]).await).len(), 6, "not from anyone");
    let from = [("AdditionalOptions", r#"{"SourceIp":"192.0.2.1"}"#)];
    assert_eq!(issues(&report(&from).await), ["80HTTP", "443HTTPS", "3389RDP", "8080HTTP", "ICMPecho"]);
    done(&face, "AuthorizeSecurityGroup", &open("all", "-1/-1", "0.0.0.0/0")).await;
    assert_eq!(report(&[]).await["Severity"], "Normal");

    let listed = |all: Value| all["TotalCount"].clone();
    assert_eq!(listed(done(&face, "DescribeDiagnosticReports", &[]).await), 4);
    assert_eq!(listed(done(&face, "DescribeDiagnosticReports", &[("Severity", "normal")]).await), 1);
    for none in [("Status", "Failed"), ("ResourceIds.1", "i-none"), ("RegionId", "other")] {
        assert_eq!(listed(done(&face, "DescribeDiagnosticReports", &[none]).await), 0, "{none:?}");
    }
    for (options, wanted) in [
        ([("ResourceId", instance), ("AdditionalOptions", r#"{"Port":"1"}"#)], "InvalidParameter"),
        ([("ResourceId", instance), ("AdditionalOptions", "x")], "InvalidParameter"),
        ([("ResourceId", instance), ("MetricSetId", "dms-mine")], "InvalidParameter"),
        ([("ResourceId", instance), ("StartTime", "2026-11-21T12:00Z")], "InvalidParameter"),
        ([("ResourceId", "i-none"), ("MetricSetId", "dms-instancedefault")], "InvalidResource.NotExists"),
        ([("ResourceId", instance), ("RegionId", "other")], "InvalidResource.NotExists"),
    ] {
        assert_eq!(
            refused(&face, "CreateDiagnosticReport", &options).await,
            code(400, wanted),
            "{options:?}"
        );
    }
    let missing = [("ReportId", "dr-0")];
    assert_eq!(
        refused(&face, "DescribeDiagnosticReportAttributes", &missing).await,
        code(400, "InvalidResource.NotExists")
    );
}

#[tokio::test]
async fn resources_stay_outside_of_resource_groups() {
    let (face, ids) = furnished().await;
    let one = [("ResourceType", "instance"), ("ResourceId", ids["instance"].as_str())];
    done(&face, "JoinResourceGroup", &one).await;
    let wanted = [one[0], one[1], ("ResourceGroupId", "rg-1")];
    assert_eq!(
        refused(&face, "JoinResourceGroup", &wanted).await,
        code(404, "InvalidResourceGroup.NotFound")
    );
    let missing = [one[0], ("ResourceId", "i-none")];
    assert_eq!(refused(&face, "JoinResourceGroup", &missing).await, code(404, "InvalidResourceId.NotFound"));
}
