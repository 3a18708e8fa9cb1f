//! Whether a request is understood as a whole. A parameter that nothing reads would be a filter that does not filter, or a wish
//! that is not done, and the client would not learn it; so a request that has one is refused before anything is done, with the
//! name of the parameter. What clients are known to send of their own is in [`is_of_the_protocol`]; what an action accepts
//! without effect, or never, it declares.

use std::borrow::Cow;

use super::{Action, Call, Fault, actions::Effect};

/// The longest name in a message.
const MAX_NAME: usize = 64;

/// Refuses a request with a parameter that `action` does not understand, or that asks for what it does not do. Blank ones ask
/// for nothing.
pub(super) fn check(action: &Action, call: &Call) -> Result<(), Fault> {
    let given = call.parameters.iter().filter(|(_, text)| !text.is_empty());
    for (place, text) in given.filter(|(name, text)| !is_of_the_protocol(call, name, text)) {
        let refuse = |why: &str| {
            let place: String = place.chars().take(MAX_NAME).collect();
            Err(Fault::malformed(&place, why))
        };
        if let Some(why) = place.split('.').skip(1).find_map(no_number) {
            return refuse(why);
        }
        match action.parameter(&numbers_as_n(place)).map(|parameter| parameter.effect) {
            Some(Effect::Acts { .. } | Effect::Nothing { .. }) => {}
            Some(Effect::Refused { unless, .. })
                if !unless.is_empty() && text.eq_ignore_ascii_case(unless) => {}
            Some(Effect::Refused { why, .. }) => return refuse(why),
            None => return refuse(&format!("this server knows no such parameter of {}", action.name)),
        }
    }
    Ok(())
}

/// Whether a parameter is none of an action: what version 1 of the signature needs, and one of the Ansible modules' library
/// footmark, which sends the name of the action once more as `on`. Those that name something must name what was signed for.
fn is_of_the_protocol(call: &Call, name: &str, text: &str) -> bool {
    match name {
        "Action" | "on" => text == call.action,
        "Version" => text == call.version,
        "AccessKeyId" => text == call.key_id,
        "Format" | "SignatureMethod" | "SignatureNonce" | "SignatureVersion" | "Timestamp" => true,
        _ => false,
    }
}

/// Why a part of a name, which should be the number of an element, is none. Whoever reads the elements looks for numbers only: they
/// would ignore `Permissions.N.Policy`, which has the declared name.
fn no_number(part: &str) -> Option<&'static str> {
    let is_of_digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = part.parse().is_ok_and(|number: u32| number > 0 && number.to_string() == part);
    (part == "N" || is_of_digits && !is_number)
        .then_some("elements are numbered from 1, without leading zeros")
}

/// `Permissions.2.Policy` → `Permissions.N.Policy`.
pub(super) fn numbers_as_n(place: &str) -> Cow<'_, str> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !place.contains('.') {
        return Cow::Borrowed(place);
    }
    let parts: Vec<&str> = place.split('.').map(|part| if is_number(part) { "N" } else { part }).collect();
    Cow::Owned(parts.join("."))
}
