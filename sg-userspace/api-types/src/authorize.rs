//! The request that adds rules to a group, of one direction or of both.
//!
//! The service checks rules and quotas and looks for duplicates; these types must never do so. The native API and `sgctl` exchange them
//! as JSON, and the vendors' APIs build them: each says what its duplicates are.

use std::{fmt, mem};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeSeed, Error, IntoDeserializer as _, MapAccess, Visitor, value::MapAccessDeserializer},
};
use sg_records::{Direction, RuleSpec};
use utoipa::ToSchema;

/// Adds rules to a group: all of them or none. The response has a rule for each of the request, in its order.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Authorize {
    /// Id or name of the group. Taken from the path.
    #[serde(default)]
    pub group: String,
    /// Direction, as seen by the NIC's owner, of the rules that do not say their own. Required if one does not.
    #[serde(default)]
    pub direction: Option<Direction>,
    /// Rules to add, from one up to the quota `rules_per_operation`. Groups and lists in them are given by id or name. Required.
    pub rules: Vec<DirectedRule>,
    /// What becomes of rules that are there already. Default: `existing`.
    #[serde(default)]
    pub duplicates: Duplicates,
    /// Which rules of a direction are the same. Default: `rule`.
    #[serde(default)]
    pub same: Sameness,
}

/// A new rule, and its direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DirectedRule {
    /// Direction of the rule, as seen by the NIC's owner. Default: the direction of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Content of the rule.
    #[serde(flatten)]
    pub spec: RuleSpec,
}

/// What becomes of new rules that are the same as one that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Duplicates {
    /// A rule that the group has already is not added again, and the response has that one. Two of the request that are the same are
    /// refused.
    #[default]
    Existing,
    /// The same, and of several rules of the request that are the same, the first is added. A rule is refused if another that is the
    /// same has another action, or is enabled where it is not: left out, it would not be missed.
    Ignore,
    /// The request is refused, and the refusal names the rule.
    Refuse,
}

/// Which rules of one direction of a group are the same. Name, description, and whether a rule is enabled, never tell rules apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sameness {
    /// Those that match the same packets, with the same action and priority.
    #[default]
    Rule,
    /// Those that match the same packets.
    Packets,
}

impl Authorize {
    /// Adds rules of one direction that are not there.
    pub fn of(group: impl Into<String>, direction: Direction, rules: Vec<RuleSpec>) -> Self {
        Self {
            group: group.into(),
            direction: Some(direction),
            rules: rules.into_iter().map(DirectedRule::from).collect(),
            duplicates: Duplicates::Existing,
            same: Sameness::Rule,
        }
    }
}

impl From<RuleSpec> for DirectedRule {
    fn from(spec: RuleSpec) -> Self {
        Self { direction: None, spec }
    }
}

impl<'de> Deserialize<'de> for DirectedRule {
    // By hand, for the reasons of `sg_model::flat`: with serde's `flatten`, a message about a wrong field does not name those that are
    // allowed, and says the end of the rule as its place.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = DirectedRule;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a rule")
            }
            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<DirectedRule, A::Error> {
                let mut direction = None;
                let others = Others { fields, direction: &mut direction, is_read: false };
                let spec = RuleSpec::deserialize(MapAccessDeserializer::new(others))?;
                Ok(DirectedRule { direction, spec })
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// The fields of a rule but its direction, which is kept.
struct Others<'k, A> {
    fields: A,
    direction: &'k mut Option<Direction>,
    is_read: bool,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Others<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.fields.next_key::<String>()? {
            if key != "direction" {
                return seed.deserialize(key.into_deserializer()).map(Some);
            }
            if mem::replace(&mut self.is_read, true) {
                return Err(A::Error::duplicate_field("direction"));
            }
            *self.direction = self.fields.next_value()?;
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.fields.next_value_seed(seed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(text: &str) -> Result<Authorize, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn rules_say_their_direction_or_the_request_does() {
        let both = json!({ "direction": "egress", "rules": [
            { "protocol": "tcp", "ports": "22", "direction": "ingress", "remote": { "group": "ops" } }, { "protocol": "udp" },
        ] });
        let read = read(&both.to_string()).unwrap();
        let directions: Vec<_> = read.rules.iter().map(|rule| rule.direction.or(read.direction)).collect();
        assert_eq!(directions, [Some(Direction::Ingress), Some(Direction::Egress)]);
        assert_eq!((read.duplicates, read.same), (Duplicates::Existing, Sameness::Rule));
        let again: Authorize = serde_json::from_value(serde_json::to_value(&read).unwrap()).unwrap();
        assert_eq!(again.rules, read.rules);
        let of_one = Authorize::of("web", Direction::Ingress, vec![read.rules[1].spec.clone()]);
        let written: Value = serde_json::to_value(of_one).unwrap();
        assert_eq!(written["rules"][0]["protocol"], "udp");
        assert!(written["rules"][0].get("direction").is_none());
    }

    #[test]
    fn a_wrong_field_of_a_rule_is_refused_at_its_place() {
        for (rule, why) in [
            (r#"{"protocol":"tcp","port":"22"}"#, "unknown field `port`, expected one of `action`"),
            (
                r#"{"protocol":"tcp","direction":"in"}"#,
                "unknown variant `in`, expected `ingress` or `egress`",
            ),
            (
                r#"{"direction":"ingress","protocol":"tcp","direction":"egress"}"#,
                "duplicate field `direction`",
            ),
            (r#"{"direction":"ingress"}"#, "missing field `protocol`"),
            ("[1]", "invalid type: sequence, expected a rule"),
        ] {
            let refused = read(&format!("{{\"rules\":[{rule}]}}")).unwrap_err();
            assert!(refused.contains(why) && refused.contains("line 1 column"), "{rule}: {refused}");
        }
        assert!(
            read(r#"{"rules":[],"duplicate":"refuse"}"#).unwrap_err().contains("expected one of `group`")
        );
    }
}
