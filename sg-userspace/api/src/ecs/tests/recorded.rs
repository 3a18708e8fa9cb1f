//! Every recorded request of the vendor's clients, through the whole API, at the time when it was sent.

use super::{ask, ecs, router};
use crate::signature::{acs3, tests};

/// The recorded actions that are not implemented. All others reach the domain, which is empty.
const UNKNOWN: [&str; 0] = [];

#[tokio::test]
async fn every_recorded_request_gets_through_or_does_not() {
    let mut count = 0;
    for recorded in tests::recorded().into_iter().filter(tests::Recorded::is_rpc) {
        count += 1;
        let parameters = recorded.parameters();
        let time = recorded.header("x-acs-date").unwrap_or_else(|| &parameters["Timestamp"]).to_owned();
        let face = router(ecs(&time));
        let reply = ask(&face, recorded.request()).await;

        let is_acs3 = recorded.header("authorization").is_some_and(|header| header.starts_with(acs3::SCHEME));
        let wants_json = is_acs3 || parameters.get("Format").is_some_and(|format| format != "XML");
        let kind = if wants_json { "application/json" } else { "text/xml" };
        assert!(reply.kind.starts_with(kind), "{recorded:?}: {reply:?}");

        let action = recorded.header("x-acs-action").unwrap_or_else(|| &parameters["Action"]);
        if !recorded.valid {
            assert_eq!(reply.refusal(), (400, "SignatureDoesNotMatch".to_owned()));
        } else if reply.status != 200 {
            let (status, code) = reply.refusal();
            assert!(status < 500 && !code.starts_with("Signature"), "{recorded:?}: {reply:?}");
            assert_eq!(code == "InvalidAction.NotFound", UNKNOWN.contains(&action), "{recorded:?}: {code}");
        }

        let again = ask(&face, recorded.request()).await.refusal();
        let code = if recorded.valid { "SignatureNonceUsed" } else { "SignatureDoesNotMatch" };
        assert_eq!(again, (400, code.to_owned()), "{recorded:?}");

        let late = router(ecs("2027-01-01T00:00:00Z"));
        let code = if recorded.valid { "InvalidTimeStamp.Expired" } else { "SignatureDoesNotMatch" };
        assert_eq!(ask(&late, recorded.request()).await.refusal(), (400, code.to_owned()));
    }
    assert_eq!(count, 102);
}
