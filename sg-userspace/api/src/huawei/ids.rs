//! The ids of this API for the ids of the domain: UUIDs. It must never know which objects exist.

use sg_records::{GroupId, Id, InstanceId, NicId, PrefixListId, RuleId, Uuid, VpcId, uuid_of};

/// An id as clients see it.
pub(super) fn shown<I: Id>(id: &I) -> String {
    uuid_of(id).to_string()
}

/// The UUID that a text is, written as clients see it.
pub(super) fn uuid(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|_| text.len() == 36)
}

/// A message of the domain, with the ids of this API: it names objects by the ids that the domain generates or users chose.
pub(super) fn in_message(message: &str) -> String {
    fn shown_as<I: Id>(word: &str) -> Option<String> {
        I::has_form(word).then(|| shown(&I::from(word)))
    }
    let is_of_id = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    let mut text = String::with_capacity(message.len());
    let mut rest = message;
    while !rest.is_empty() {
        let end = rest.find(|letter| !is_of_id(letter)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        let named = shown_as::<GroupId>(word)
            .or_else(|| shown_as::<RuleId>(word))
            .or_else(|| shown_as::<PrefixListId>(word))
            .or_else(|| shown_as::<VpcId>(word))
            .or_else(|| shown_as::<NicId>(word))
            .or_else(|| shown_as::<InstanceId>(word));
        text.push_str(named.as_deref().unwrap_or(word));
        let next = behind.find(is_of_id).unwrap_or(behind.len());
        let (between, others) = behind.split_at(next);
        text.push_str(between);
        rest = others;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_ids_that_clients_know() {
        let (group, nic) = (GroupId::random(), NicId::from("eni-web_1"));
        let message = format!("group {group} (on {nic}) is in use: é, sg-web, {group}.");
        let wanted = format!("group {0} (on {1}) is in use: é, sg-web, {0}.", shown(&group), shown(&nic));
        assert_eq!(in_message(&message), wanted);
        assert_eq!(in_message(""), "");
    }
}
