//! Roles of access keys: a client is refused with the vendor's code what its key may not do.

use axum::http::StatusCode;
use sg_records::KeyRole;

use super::{NOW, ask, common, ecs_with, get, router};
use crate::ecs::NOUNS;

/// No action changes access keys, quotas or the whole state, so none needs more than an editor.
#[test]
fn every_action_declares_the_role_that_it_needs() {
    for action in NOUNS.iter().flat_map(|(_, actions)| *actions) {
        // A report changes nothing, though it is created.
        let is_query =
            ["Describe", "List", "CreateDiagnosticReport"].iter().any(|start| action.name.starts_with(start));
        let expected = if is_query { KeyRole::Viewer } else { KeyRole::Editor };
        assert_eq!(action.role, expected, "{}", action.name);
    }
}

#[tokio::test]
async fn a_key_is_refused_what_its_role_does_not_allow() {
    for role in KeyRole::ALL {
        let face = router(ecs_with(NOW, role));
        for action in NOUNS.iter().flat_map(|(_, actions)| *actions) {
            let reply = ask(&face, get(common(action.name, &format!("{role} {}", action.name)))).await;
            let code = reply.json()["Code"].as_str().unwrap_or_default().to_owned();
            let is_refused = reply.status == StatusCode::FORBIDDEN && code == "Forbidden.RAM";
            assert_eq!(is_refused, role < action.role, "{role}: {}: {}", action.name, reply.text);
            if is_refused {
                let says = "User not authorized to operate on the specified resource, or this API doesn't support RAM.";
                assert!(reply.text.contains(says), "{}", reply.text);
                assert!(reply.text.contains(&format!("the role {}", action.role)), "{}", reply.text);
            }
        }
    }
}
