//! Parameters as actions read them.

use super::pairs;
use crate::ecs::params::Parameters;

fn parameters(of: &[(&str, &str)]) -> Parameters {
    pairs(of).into()
}

#[test]
fn texts_numbers_and_booleans() {
    let all = parameters(&[
        ("Name", "web"),
        ("Blank", ""),
        ("PageSize", "50"),
        ("Plus", "+5"),
        ("Long", "4294967296"),
        ("Yes", "TRUE"),
        ("No", "false"),
    ]);
    let fields = all.fields();
    assert_eq!(fields.text("Name"), Some("web"));
    assert_eq!(fields.text("Blank"), None);
    assert_eq!(fields.given("Blank"), Some(""));
    assert_eq!(fields.text("Absent"), None);
    assert_eq!(fields.required("Name"), Ok("web"));
    assert_eq!(fields.required("Blank").unwrap_err().code, "MissingParameter");
    assert_eq!(fields.required("RegionId").unwrap_err().code, "MissingParameter.RegionId");
    assert_eq!(fields.integer::<u32>("PageSize"), Ok(Some(50)));
    assert_eq!(fields.integer::<u32>("Blank"), Ok(None));
    for name in ["Plus", "Long", "Name"] {
        let fault = fields.integer::<u32>(name).unwrap_err();
        assert_eq!((fault.status.as_u16(), fault.code.as_ref()), (400, "InvalidParameter"));
        assert!(fault.message.contains(&format!("\"{name}\"")), "{fault}");
    }
    assert_eq!(fields.boolean("Yes"), Ok(Some(true)));
    assert_eq!(fields.boolean("No"), Ok(Some(false)));
    assert_eq!(fields.boolean("Absent"), Ok(None));
    assert!(fields.boolean("Name").is_err());
}

#[test]
fn lists() {
    let all = parameters(&[
        ("SecurityGroupId", "sg-0"),
        ("SecurityGroupId.10", "sg-10"),
        ("SecurityGroupId.2", "sg-2"),
        ("SecurityGroupId.1", "sg-1"),
        ("SecurityGroupId.4", ""),
        ("SecurityGroupIdX.1", "another"),
        ("InstanceId.2", "i-2"),
        ("InstanceId.1", "i-1"),
        ("InstanceId.more", "somebody's own"),
        ("InstanceId.3.Name", "no text"),
        ("SecurityGroupIds", "[\"sg-1\", \"\", \"sg-2\"]"),
        ("NotJson", "sg-1"),
        ("Numbers", "[1]"),
        ("Zero.0", "a"),
        ("Leading.01", "a"),
        ("Large.4294967296", "a"),
    ]);
    let fields = all.fields();
    // Both forms at once.
    assert_eq!(fields.list("SecurityGroupId").unwrap_err().code, "InvalidSecurityGroupId.Malformed");
    assert_eq!(fields.list("InstanceId").unwrap(), ["i-1", "i-2"]);
    assert_eq!(fields.list("SecurityGroupIds").unwrap(), ["sg-1", "sg-2"]);
    assert!(fields.list("Absent").unwrap().is_empty());
    for name in ["NotJson", "Numbers", "Zero", "Leading", "Large"] {
        assert_eq!(fields.list(name).unwrap_err().code, "InvalidParameter", "{name}");
    }
    let all = parameters(&[("S.10", "j"), ("S.2", "b"), ("S.1", "a"), ("S.4", "")]);
    assert_eq!(all.fields().list("S").unwrap(), ["a", "b", "j"]);
}

#[test]
fn objects() {
    let all = parameters(&[
        ("Permissions.2.Priority", "x"),
        ("Permissions.2.Policy", "drop"),
        ("Permissions.11.Policy", "accept"),
        ("Permissions.1.Policy", "Accept"),
        ("Permissions.1.Blank", ""),
        ("Permissions.1.Tag.1.Key", "k"),
        ("Permissions.1.Tag.2.Key", "l"),
        ("Permissions.3", "no object"),
        ("Policy", "top"),
    ]);
    let permissions = all.fields().objects("Permissions").unwrap();
    let policies: Vec<_> = permissions.iter().map(|fields| fields.text("Policy").unwrap()).collect();
    assert_eq!(policies, ["Accept", "drop", "accept"]);
    assert_eq!(permissions[1].place("Policy"), "Permissions.2.Policy");
    let tags = permissions[0].objects("Tag").unwrap();
    assert_eq!(tags.iter().map(|tag| tag.required("Key").unwrap()).collect::<Vec<_>>(), ["k", "l"]);

    let fault = permissions[1].integer::<u8>("Priority").unwrap_err();
    assert_eq!(fault.code, "InvalidPriority.Malformed");
    assert!(fault.message.contains("\"Permissions.2.Priority\""), "{fault}");
    let fault = permissions[2].required("PortRange").unwrap_err();
    assert!(fault.message.contains("\"Permissions.11.PortRange\""), "{fault}");
    assert_eq!(
        parameters(&[("Permissions.0.Policy", "drop")]).fields().objects("Permissions").unwrap_err().code,
        "InvalidParam.Permissions"
    );
    assert!(all.fields().objects("Absent").unwrap().is_empty());
}
