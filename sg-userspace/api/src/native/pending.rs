//! Routes of the change that is to be confirmed: they settle it, for all NICs at the same moment. They must never decide whether its
//! deadline has passed: the kernel does. `mod.rs` calls `declare` once.

use sg_agent::{Settle, Standing};
use sg_api_types::{ChangeState, ExtendChange, SettleChange, SettledChange};
use sg_audit::Object;
use sg_model::{LONGEST_CONFIRM, SHORTEST_CONFIRM};
use sg_records::KeyRole::Editor;

use super::{Native, error::Failed, request::RequestContext, route::Route, routes::Routes};

pub(super) fn declare(routes: &mut Routes) {
    let route =
        Route::post("/v1/pending/confirm", "Confirm the change that is pending: it stays").needs(Editor);
    routes.touch::<SettleChange, SettledChange>(route, object, |native, context, SettleChange { id }| {
        settle(native, context, *id, Settle::Confirm)
    });
    let route = Route::post(
        "/v1/pending/cancel",
        "Take back the change that is pending: what was in force before is in force again",
    );
    routes.touch::<SettleChange, SettledChange>(
        route.needs(Editor),
        object,
        |native, context, SettleChange { id }| settle(native, context, *id, Settle::Cancel),
    );
    let route = Route::post("/v1/pending/extend", "Give the change that is pending more time").needs(Editor);
    routes.touch::<ExtendChange, SettledChange>(
        route,
        object,
        |native, context, ExtendChange { id, seconds }| {
            if !(SHORTEST_CONFIRM..=LONGEST_CONFIRM).contains(seconds) {
                return Err(Failed::Malformed(format!(
                    "seconds: {seconds} is not {SHORTEST_CONFIRM} to {LONGEST_CONFIRM}"
                )));
            }
            settle(native, context, *id, Settle::Extend { seconds: *seconds })
        },
    );
}

/// The change in the audit trail.
fn object<Q>(_: &Q, settled: &SettledChange) -> Object {
    let after = serde_json::to_value(settled).ok();
    Object::new("change", settled.id.to_string(), String::new(), [None, after], &[])
}

fn settle(
    native: &Native,
    context: &RequestContext,
    id: Option<u32>,
    how: Settle,
) -> Result<SettledChange, Failed> {
    // A document is changed by whoever may write it, not by all who may look.
    if native.service.is_none() && !context.is_root() {
        return Err(Failed::Forbidden("only root settles changes of the document, over the socket"));
    }
    let standing = match (&native.service, &native.control) {
        // What is stored agrees afterwards.
        (Some(service), _) => service.settle(id, how)?,
        (None, Some(control)) => control.settle(id, how)?,
        (None, None) => return Err(Failed::ReadOnly),
    };
    let (id, state, deadline) = match standing {
        Standing::Pending { id, deadline } => (id, ChangeState::Pending, Some(deadline)),
        Standing::Confirmed { id } => (id, ChangeState::Confirmed, None),
        Standing::Reverted { id } => (id, ChangeState::Reverted, None),
    };
    let settled = SettledChange { id, state, deadline };
    // Somebody who confirms too late must not take it for done.
    if state == ChangeState::Reverted && how != Settle::Cancel {
        return Err(Failed::TooLate { id });
    }
    Ok(settled)
}
