//! Who the caller is, and whether a request means what it says: wrong secrets, two headers where one is allowed, bodies of another
//! type than declared, and requests for which the vendor documents a code.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use sg_tests::lab::Lab;

use super::{BOTH, ECS, Key, NATIVE, exchange, exchange_here, expect};
use crate::support::{served::Served, suite::Suite};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JSON: &str = "Content-Type: application/json\r\n";

pub(super) fn tests(suite: &mut Suite) {
    suite.add("wrong_secrets_are_slowed_counted_and_logged", wrong_secrets);
    suite.add("a_drop_rule_stays_one_on_the_way", a_drop_rule_stays_one);
    suite.add("what_a_body_says_it_is_and_who_says_it", said_twice_or_otherwise);
    suite.add("nothing_to_modify_and_ports_without_ports", documented_codes);
}

/// How long guesses are made.
const GUESSING: Duration = Duration::from_secs(3);
/// Five at once and one a second, and one more where the machine is busy.
const MAX_RESPONSES: usize = 5 + 3 + 1;

fn wrong_secrets(lab: Lab) -> Result<()> {
    let host = lab.host("guessed")?;
    let mut served = Served::start_with(&host, BOTH)?;
    let keys = [Key::make(&served)?, Key::make(&served)?];
    served.kill()?;
    let log = served.again_with_log("warn")?;
    // Timestamps of the process before are refused, and they are whole seconds.
    thread::sleep(Duration::from_secs(1));
    let [of_ecs, of_native] = &keys;
    let guess = |key: &Key, number: usize| Key { id: key.id.clone(), secret: format!("guess-{number}") };
    let sent = host.inside(|| {
        thread::scope(|scope| {
            let ecs = scope.spawn(|| {
                guesses(|number| {
                    let response = exchange_here(ECS, &guess(of_ecs, number).ecs(&[])?)?;
                    expect("a guess", &response, 400, "SignatureDoesNotMatch")
                })
            });
            let native = scope.spawn(|| {
                guesses(|number| {
                    let request = guess(of_native, number).native("GET", "/v1/groups", "", b"");
                    expect("a guess", &exchange_here(NATIVE, &request)?, 401, "unauthenticated")
                })
            });
            // The owners of the keys do not wait.
            thread::sleep(GUESSING / 2);
            let began = Instant::now();
            for _ in 0..5 {
                expect("the owner", &exchange_here(ECS, &of_ecs.ecs(&[])?)?, 200, "")?;
                let request = of_native.native("GET", "/v1/groups", "", b"");
                expect("the owner", &exchange_here(NATIVE, &request)?, 200, "")?;
            }
            ensure!(began.elapsed() < Duration::from_secs(2), "the owners waited {:?}", began.elapsed());
            let joined =
                [ecs, native].map(|guesses| guesses.join().map_err(|_| anyhow::anyhow!("a panic"))?);
            joined.into_iter().sum::<Result<usize>>()
        })
    })?;
    let nobody = Key { id: "nobody\x1b[31m".into(), secret: "x".into() };
    expect("nobody", &exchange(&host, ECS, &nobody.ecs(&[])?)?, 404, "InvalidAccessKeyId.NotFound")?;
    let status = served.done("GET", "/v1/status", "")?;
    ensure!(status["wrong_secrets"] == sent + 1, "{} were sent: {status}", sent + 1);
    let log = fs::read_to_string(log)?;
    for key in &keys {
        let line = log.lines().find(|line| line.contains(&key.id));
        let line = line.with_context(|| format!("key {} is not in the log: {log}", key.id))?;
        ensure!(line.contains("wrong secret") && line.contains("127.0.0.1"), "{line}");
        ensure!(!log.contains(&key.secret), "{log}");
    }
    ensure!(log.contains("does not exist") && !log.contains("guess-") && !log.contains("nobody"), "{log}");
    ensure!(log.lines().count() < sent, "{log}");
    Ok(())
}

/// Guesses one after the other, and how many got a response.
fn guesses(mut guess: impl FnMut(usize) -> Result<()>) -> Result<usize> {
    let (began, mut sent) = (Instant::now(), 0);
    while began.elapsed() < GUESSING {
        guess(sent)?;
        sent += 1;
    }
    ensure!((6..=MAX_RESPONSES).contains(&sent), "{sent} wrong secrets got a response in {GUESSING:?}");
    Ok(sent)
}

/// A group of the ECS API, and the VPC that it is in.
fn group(served: &Served<'_>) -> Result<String> {
    served.done("POST", "/v1/vpcs", r#"{"name":"net","region":"cn-hangzhou"}"#)?;
    let group = served.done("POST", "/v1/groups", r#"{"name":"web","vpc":"net","region":"cn-hangzhou"}"#)?;
    Ok(group["id"].as_str().context("no id")?.to_owned())
}

fn a_drop_rule_stays_one(lab: Lab) -> Result<()> {
    let host = lab.host("on-the-way")?;
    let served = Served::start(&host)?;
    let (key, group) = (Key::make(&served)?, group(&served)?);
    let rule = |ports: &'static str| {
        [
            ("RegionId", "cn-hangzhou"),
            ("SecurityGroupId", group.as_str()),
            ("IpProtocol", "tcp"),
            ("PortRange", ports),
            ("SourceCidrIp", "0.0.0.0/0"),
        ]
    };
    let send = |ports, signed, on_the_way: &[(&str, &str)]| {
        let request =
            key.acs3("AuthorizeSecurityGroup", &rule(ports), "Policy=drop&Priority=5", signed, on_the_way)?;
        exchange(&host, ECS, &request)
    };
    expect("honest", &send("22/22", Some(FORM), &[])?, 200, "")?;
    let text = [("content-type", "text/plain")];
    expect("turned into text", &send("23/23", Some(FORM), &text)?, 415, "UnsupportedMediaType")?;
    expect("not signed", &send("24/24", None, &[FORM])?, 400, "IncompleteSignature")?;
    expect("not signed, and text", &send("25/25", None, &text)?, 415, "UnsupportedMediaType")?;
    expect("of no type", &send("26/26", None, &[])?, 415, "UnsupportedMediaType")?;
    let zipped = [("content-encoding", "gzip")];
    expect("packed", &send("27/27", Some(FORM), &zipped)?, 415, "UnsupportedMediaType")?;
    let other_charset = [("content-type", "application/x-www-form-urlencoded;charset=utf-16")];
    expect("other letters", &send("28/28", Some(FORM), &other_charset)?, 415, "UnsupportedMediaType")?;
    let rules = served.done("GET", "/v1/groups/web/rules", "")?;
    let rules = rules["items"].as_array().context("no rules")?;
    let made: Vec<String> = rules
        .iter()
        .map(|rule| {
            format!("{} {} {}", rule["spec"]["ports"], rule["spec"]["action"], rule["spec"]["priority"])
        })
        .collect();
    ensure!(made == [r#""22" "drop" 5"#], "{made:?}");
    Ok(())
}

fn said_twice_or_otherwise(lab: Lab) -> Result<()> {
    let host = lab.host("said-twice")?;
    let served = Served::start_with(&host, BOTH)?;
    let key = Key::make(&served)?;
    let good = format!("Authorization: {}\r\n", key.basic());
    let other = "Authorization: Basic Zm9vOmJhcg==\r\n";
    let get = |headers: String| {
        let request = format!("GET /v1/groups HTTP/1.1\r\nHost: a\r\n{headers}Connection: close\r\n\r\n");
        exchange(&host, NATIVE, request.as_bytes())
    };
    expect("one", &get(good.clone())?, 200, "")?;
    for (what, headers) in [
        ("good first", good.clone() + other),
        ("bad first", other.to_owned() + &good),
        ("both good", good.repeat(2)),
    ] {
        expect(what, &get(headers)?, 400, "malformed")?;
    }
    expect("none", &get(String::new())?, 401, "unauthenticated")?;
    let acs3 = key.acs3("DescribeRegions", &[], "", None, &[])?;
    let acs3 = String::from_utf8(acs3)?;
    for second in
        ["Authorization: Basic x\r\nAuthorization:", "authorization: ACS3-HMAC-SHA256 x\r\nAuthorization:"]
    {
        let two = acs3.replace("Authorization:", second);
        expect(second, &exchange(&host, ECS, two.as_bytes())?, 400, "IncompleteSignature")?;
    }
    expect("one of the ECS API", &exchange(&host, ECS, acs3.as_bytes())?, 200, "")?;

    let body = br#"{"name":"net"}"#;
    for headers in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: application/json\r\nContent-Type: text/plain\r\n",
        "Content-Type: application/json; charset=latin1\r\n",
        "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
        "Content-Type: application/json\r\nContent-Encoding: br, identity\r\n",
    ] {
        let response = exchange(&host, NATIVE, &key.native("POST", "/v1/vpcs", headers, body))?;
        expect(headers, &response, 415, "unsupported_media_type")?;
    }
    ensure!(served.done("GET", "/v1/vpcs", "")?["total"] == 0, "one of them was read");
    expect("JSON", &exchange(&host, NATIVE, &key.native("POST", "/v1/vpcs", JSON, body))?, 200, "")?;
    let tokens = format!("{JSON}Idempotency-Key: a\r\nIdempotency-Key: b\r\n");
    let twice = exchange(&host, NATIVE, &key.native("POST", "/v1/vpcs", &tokens, br#"{"name":"b"}"#))?;
    expect("two tokens", &twice, 400, "malformed")
}

fn documented_codes(lab: Lab) -> Result<()> {
    let host = lab.host("documented")?;
    let served = Served::start(&host)?;
    let (key, group) = (Key::make(&served)?, group(&served)?);
    let call = |action: &str, more: &[(&str, &str)]| -> Result<String> {
        let common = [("Action", action), ("RegionId", "cn-hangzhou"), ("SecurityGroupId", group.as_str())];
        exchange(&host, ECS, &key.ecs(&[&common[..], more].concat())?)
    };
    for (suffix, cidr) in [("", "SourceCidrIp"), ("Egress", "DestCidrIp")] {
        let authorize = format!("AuthorizeSecurityGroup{suffix}");
        for (protocol, ports) in
            [("all", "1/65535"), ("icmp", "8/8"), ("gre", "22/22"), ("icmpv6", "128/128"), ("50", "1/2")]
        {
            let remote = if protocol == "icmpv6" { format!("Ipv6{cidr}") } else { cidr.to_owned() };
            let any = if protocol == "icmpv6" { "::/0" } else { "0.0.0.0/0" };
            let rule = |ports| [("IpProtocol", protocol), ("PortRange", ports), (remote.as_str(), any)];
            let response = call(&authorize, &rule(ports))?;
            expect(protocol, &response, 400, "InvalidParam.PortRange")?;
            ensure!(
                response.contains(&format!("({ports})")) && response.contains("-1/-1 is expected"),
                "{response}"
            );
            expect(protocol, &call(&authorize, &rule("-1/-1"))?, 200, "")?;
        }
        let rule = [("IpProtocol", "icmp"), ("SourcePortRange", "1/2"), (cidr, "0.0.0.0/0")];
        expect("source ports", &call(&authorize, &rule)?, 400, "InvalidSourcePortRange.Malformed")?;
    }
    let page = served.done("GET", "/v1/groups/web/rules?limit=100", "")?;
    let rules = page["items"].as_array().context("no rules")?.clone();
    ensure!(rules.len() == 10, "{page}");
    for rule in &rules {
        let suffix = if rule["direction"] == "egress" { "Egress" } else { "" };
        let modify = format!("ModifySecurityGroup{suffix}Rule");
        let id = ("SecurityGroupRuleId", rule["id"].as_str().context("no id")?);
        let code = "InvalidParam.InvalidModifyRuleRequest";
        expect("nothing to modify", &call(&modify, &[id])?, 400, code)?;
        // Clients send blanks for what is unset.
        expect(
            "nothing but blanks",
            &call(&modify, &[id, ("Description", ""), ("PortRange", "")])?,
            400,
            code,
        )?;
    }
    let rule = [("IpProtocol", "gre"), ("PortRange", "-1/-1"), ("SourceCidrIp", "0.0.0.0/0")];
    let code = "InvalidParam.InvalidModifyRuleRequest";
    expect("the old form", &call("ModifySecurityGroupRule", &rule)?, 400, code)?;
    ensure!(
        served.done("GET", "/v1/groups/web/rules?limit=100", "")?["items"] == page["items"],
        "a rule changed"
    );
    let described = [&rule[..], &[("Description", "a tunnel")]].concat();
    expect("the old form", &call("ModifySecurityGroupRule", &described)?, 200, "")?;
    let id = rules[0]["id"].as_str().context("no id")?;
    let (status, refusal) = served.ask("PATCH", &format!("/v1/rules/{id}"), "{}")?;
    ensure!((status, &refusal["error"]["code"]) == (400, &"nothing_to_change".into()), "{refusal}");
    served.done("PATCH", &format!("/v1/rules/{id}"), r#"{"description":"x"}"#)?;
    Ok(())
}
