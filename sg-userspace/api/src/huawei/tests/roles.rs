//! Roles of access keys: a client is refused with the vendor's code what its key may not do.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use sg_records::KeyRole;

use super::{huawei_with, router, send};
use crate::huawei::{Dialect, NOUNS, Operation};

fn operations() -> impl Iterator<Item = &'static Operation> {
    NOUNS.iter().flat_map(|(_, operations)| *operations)
}

/// No operation changes access keys, quotas or the whole state, so none needs more than an editor.
#[test]
fn every_operation_declares_the_role_that_it_needs() {
    for operation in operations() {
        let expected = match operation.dialect {
            // Tokens change nothing but who needs no signature.
            Dialect::Identity if operation.method == Method::POST || operation.name == "ShowVersion" => None,
            Dialect::Identity => Some(KeyRole::Viewer),
            _ if operation.method == Method::GET => Some(KeyRole::Viewer),
            _ => Some(KeyRole::Editor),
        };
        assert_eq!(operation.role, expected, "{}", operation.name);
    }
}

#[tokio::test]
async fn a_key_is_refused_what_its_role_does_not_allow() {
    for role in KeyRole::ALL {
        let face = router(huawei_with(role));
        for operation in operations() {
            let body = match (operation.chosen_by, &operation.method) {
                (Some(field), _) => json!({ field: {} }),
                (None, &Method::GET | &Method::DELETE) => Value::Null,
                (None, _) => json!({}),
            };
            let reply = send(&face, operation.method.clone(), operation.path, &body).await;
            let is_refused = reply.status == StatusCode::FORBIDDEN;
            let needed = operation.role.unwrap_or(KeyRole::Viewer);
            assert_eq!(is_refused, role < needed, "{role}: {}: {}", operation.name, reply.text);
            if is_refused {
                assert!(reply.text.contains(&format!("the role {needed}")), "{}", reply.text);
                let code = match operation.dialect {
                    Dialect::V3 | Dialect::V1 | Dialect::Identity => "VPC.2201",
                    Dialect::Neutron => "PolicyNotAuthorized",
                    Dialect::Ecs => "Ecs.0003",
                    Dialect::Nova => "forbidden",
                };
                assert!(reply.text.contains(code), "{}: {}", operation.name, reply.text);
            }
        }
    }
}
