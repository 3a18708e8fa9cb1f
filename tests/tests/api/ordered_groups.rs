//! The groups of an interface, in order, through the API of Huawei Cloud, and the packets that pass meanwhile: insert and remove at a
//! place (v3), the whole list (v1, v2.0), a server's groups (Nova).

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sg_tests::lab::{
    End, Host, Lab, Outcome, PATIENCE, Pair as _, Question, SILENCE, Service, Streams, ask, respond,
};

use super::hostile::{HUAWEI, Key, WITH_HUAWEI, exchange};
use crate::support::{served::Served, suite::Suite};

const PORT: u16 = 80;

pub(crate) fn tests(suite: &mut Suite) {
    suite.add("the_first_group_of_a_port_decides", the_first_group_decides);
}

/// A client of the API.
struct Client<'a> {
    host: &'a Host,
    key: Key,
    project: String,
}

impl Client<'_> {
    /// A request, which must be done with this status. `{project}` in the target is the project.
    fn done(&self, method: &str, target: &str, body: &Value, status: u16) -> Result<Value> {
        let target = target.replace("{project}", &self.project);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = self.key.huawei(method, &target, &[], &[], &body)?;
        let response = exchange(self.host, HUAWEI, &request)?;
        let (head, body) = response.split_once("\r\n\r\n").context("no head")?;
        ensure!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {target}: {response}");
        if body.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(body)?) }
    }

    /// A group with one rule for the port.
    fn group(&self, served: &Served<'_>, name: &str, action: &str) -> Result<String> {
        let group = json!({ "security_group": { "name": name } });
        let made = self.done("POST", "/v3/{project}/vpc/security-groups", &group, 201)?;
        let rule = json!({ "direction": "ingress", "rules": [
            { "protocol": "tcp", "ports": PORT.to_string(), "action": action, "remote": "10.77.0.0/24" }
        ] });
        served.done("POST", &format!("/v1/groups/{name}/rules"), &rule.to_string())?;
        made["security_group"]["id"].as_str().map(str::to_owned).context("no id")
    }
}

/// Whether a new connection is accepted.
fn replies(server: &Host, client: &Host, expected: bool, after: &str) -> Result<()> {
    let (from, to) = ("10.77.0.2".parse()?, "10.77.0.1".parse()?);
    let _responder = respond(server, to, Service::Tcp(PORT))?;
    let patience = if expected { PATIENCE } else { SILENCE };
    let outcome = ask(client, &Question::new(from, to, Service::Tcp(PORT)), patience)?;
    ensure!((outcome == Outcome::Reply) == expected, "after {after}: {outcome}");
    Ok(())
}

fn speaks(streams: &mut Streams, expected: bool, after: &str) -> Result<()> {
    for from in End::ALL {
        streams.send(from)?;
        let arrived = streams.arrives(from.other(), if expected { PATIENCE } else { SILENCE })?;
        ensure!(arrived == expected, "after {after}, what the {from:?} says arrives: {arrived}");
    }
    Ok(())
}

fn the_first_group_decides(lab: Lab) -> Result<()> {
    let lan = lab.lan()?;
    let server = lan.host("ordered-s", &["10.77.0.1/24"])?;
    let client = lan.host("ordered-c", &["10.77.0.2/24"])?;
    let served = Served::start_with(&server, WITH_HUAWEI)?;
    let key = served.done("POST", "/v1/access-keys", "{}")?;
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let project = text(&key, "project_id");
    let api =
        Client { host: &server, key: Key { id: text(&key, "id"), secret: text(&key, "secret") }, project };
    let vpc = served.done("POST", "/v1/vpcs", r#"{"name":"net","region":"cn-hangzhou"}"#)?;
    let (allow, deny) = (api.group(&served, "allow", "accept")?, api.group(&served, "deny", "drop")?);
    let instance = json!({ "id": "i-web", "name": "web", "vpc": vpc["id"],
        "nics": [{ "device": "eth0", "groups": ["allow"] }] });
    let registered = served.done("POST", "/v1/instances", &instance.to_string())?;
    let found = api.done("GET", "/v1/{project}/ports", &Value::Null, 200)?;
    let port = text(&found["ports"][0], "id");
    let server_id = text(&registered, "uuid");
    ensure!(found["ports"][0]["device_id"] == server_id.as_str(), "{found} {registered}");
    let groups = |ids: &[&String]| json!({ "port": { "security_groups": ids } });
    let is = |ids: &[&String]| -> Result<()> {
        let port = api.done("GET", &format!("/v3/{{project}}/ports/{port}"), &Value::Null, 200)?;
        ensure!(port["port"]["security_groups"] == json!(ids), "{ids:?} expected: {port}");
        Ok(())
    };

    replies(&server, &client, true, "nothing")?;
    let question = Question::new("10.77.0.2".parse()?, "10.77.0.1".parse()?, Service::Tcp(PORT));
    let mut live = Streams::open(&client, &server, &question)?;
    speaks(&mut live, true, "nothing")?;

    // Behind the other one, it decides nothing.
    let insert = format!("/v3/{{project}}/ports/{port}/insert-security-groups");
    let remove = format!("/v3/{{project}}/ports/{port}/remove-security-groups");
    api.done("PUT", &insert, &groups(&[&deny]), 200)?;
    is(&[&allow, &deny])?;
    speaks(&mut live, true, "a group at the end")?;
    replies(&server, &client, true, "a group at the end")?;
    api.done("PUT", &remove, &groups(&[&deny]), 200)?;

    // Before it, it denies: new connections, and those that live.
    let tried = json!({ "dry_run": true, "port": { "security_groups": [deny], "index": 0 } });
    api.done("PUT", &insert, &tried, 202)?;
    speaks(&mut live, true, "what was only tried")?;
    api.done("PUT", &insert, &json!({ "port": { "security_groups": [deny], "index": 0 } }), 200)?;
    is(&[&deny, &allow])?;
    speaks(&mut live, false, "a group at the first place")?;
    drop(live);
    replies(&server, &client, false, "a group at the first place")?;

    // Down and up again, by the two operations that replace the list.
    api.done("PUT", &format!("/v1/{{project}}/ports/{port}"), &groups(&[&allow, &deny]), 200)?;
    replies(&server, &client, true, "another order by v1")?;
    api.done("PUT", &format!("/v2.0/ports/{port}"), &groups(&[&deny, &allow]), 200)?;
    replies(&server, &client, false, "another order by v2.0")?;
    api.done("PUT", &remove, &groups(&[&deny]), 200)?;
    replies(&server, &client, true, "removal by v3")?;

    // By server, at the end.
    let action = format!("/v2.1/{{project}}/servers/{server_id}/action");
    api.done("POST", &action, &json!({ "addSecurityGroup": { "name": "deny" } }), 202)?;
    is(&[&allow, &deny])?;
    replies(&server, &client, true, "a group of the server")?;
    api.done("POST", &action, &json!({ "removeSecurityGroup": { "name": allow } }), 202)?;
    is(&[&deny])?;
    replies(&server, &client, false, "the group that accepted is gone")
}
