//! Every recorded request of the vendor's clients, through the whole face, at the time when it was sent.

use super::{ask, ecs, router};
use crate::api::signature::{acs3, tests};

/// Of the recorded actions, those that are answered. All others get as far as the table of actions.
const ANSWERED: [&str; 1] = ["DescribeRegions"];

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
        } else if ANSWERED.contains(&action) {
            assert_eq!(reply.status, 200, "{recorded:?}: {reply:?}");
        } else {
            assert_eq!(reply.refusal(), (404, "InvalidAction.NotFound".to_owned()), "{recorded:?}");
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
