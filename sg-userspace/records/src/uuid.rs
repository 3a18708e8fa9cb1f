//! The UUID of every id, for clients that know objects only by UUIDs, and the number of the project that stands for a region.
//!
//! Generated ids have 85 random bits, which fit into a UUID of version 8 beside the kind, so both directions are computed, and UUIDs
//! of one kind sort as their ids do. Chosen ids do not fit: theirs is a hash of version 5, and whoever has the UUID must look the id
//! up, as the service's state does. This file must never know which objects exist.

use uuid::Uuid;

use super::Id;

/// The namespace of the hashes of chosen ids.
const CHOSEN_IDS: Uuid = Uuid::from_u128(0x46d0_a5f8_e474_4a95_8d13_f8b8_6b8c_8067);
/// The namespace of the hashes of regions.
const REGIONS: Uuid = Uuid::from_u128(0x5160_d2bf_9f91_4f7a_a24a_0eaa_2a29_5487);

/// The letters of generated ids in the order of their bytes, in which ids sort.
const SORTED: &[u8; 32] = b"23456789abcdefghijkmnpqrstuvwxyz";
/// Bits of one letter.
const LETTER: u32 = 5;
/// Letters of a generated id.
const LETTERS: u32 = 17;
/// Bits of the letters of an id. The other 37 of the 122 free bits of a UUID are the kind.
const PAYLOAD: u32 = LETTERS * LETTER;

/// The UUID of an id.
#[must_use]
pub fn uuid_of<I: Id>(id: &I) -> Uuid {
    let text = id.as_ref();
    let letters = if I::IS_CHOSEN { None } else { text.strip_prefix(I::PREFIX).and_then(number) };
    letters.map_or_else(
        || Uuid::new_v5(&CHOSEN_IDS, text.as_bytes()),
        |letters| spread(kind::<I>() << PAYLOAD | letters),
    )
}

/// The id of a generated kind that has this UUID. `None`: no id of this kind has it, or ids of this kind are chosen.
#[must_use]
pub fn id_of<I: Id>(uuid: Uuid) -> Option<I> {
    let bits = gathered(uuid);
    if I::IS_CHOSEN || bits >> PAYLOAD != kind::<I>() || spread(bits) != uuid {
        return None;
    }
    let letter = |place: u32| SORTED.get((bits >> (LETTER * place) & 0x1f) as usize).copied().map(char::from);
    let letters: Option<String> = (0..LETTERS).rev().map(letter).collect();
    Some(I::from(format!("{}{}", I::PREFIX, letters?)))
}

/// The number of the project that stands for a region: 32 hexadecimal digits, always the same for a name.
#[must_use]
pub fn project_id(region: &str) -> String {
    Uuid::new_v5(&REGIONS, region.as_bytes()).simple().to_string()
}

/// The letters of a generated id as a number.
fn number(letters: &str) -> Option<u128> {
    let value = |byte: u8| SORTED.iter().position(|letter| *letter == byte);
    let mut bytes = letters.bytes();
    let number = bytes.try_fold(0, |number, byte| Some(number << LETTER | value(byte)? as u128));
    number.filter(|_| letters.len() == LETTERS as usize)
}

/// The number of a kind of ids: the letters of its prefix, so that people recognize them.
fn kind<I: Id>() -> u128 {
    let letters = I::PREFIX.bytes().filter(u8::is_ascii_lowercase).chain([0; 4]).take(4);
    letters.fold(0, |kind, letter| kind << 8 | u128::from(letter)) << 5
}

/// 122 bits as a UUID of version 8: 48, 12 and 62 of them around the version and the variant (RFC 9562, section 5.8).
const fn spread(bits: u128) -> Uuid {
    let (first, second, third) = (bits >> 74, bits >> 62 & 0xfff, bits & ((1 << 62) - 1));
    Uuid::from_u128(first << 80 | 8 << 76 | second << 64 | 2 << 62 | third)
}

/// The 122 free bits of a UUID.
const fn gathered(uuid: Uuid) -> u128 {
    let bits = uuid.as_u128();
    (bits >> 80) << 74 | (bits >> 64 & 0xfff) << 62 | bits & ((1 << 62) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccessKeyId, GroupId, InstanceId, NicId, PortListId, PrefixListId, RuleId, VpcId};

    /// There and back, and no other kind takes it for its own.
    fn both_ways<I: Id, O: Id>() {
        let mut ids: Vec<I> = (0..200).map(|_| I::random()).collect();
        ids.extend(
            ["2".repeat(17), "z".repeat(17)].map(|letters| I::from(format!("{}{letters}", I::PREFIX))),
        );
        ids.sort();
        let uuids: Vec<Uuid> = ids.iter().map(uuid_of).collect();
        assert!(uuids.is_sorted(), "{}", I::PREFIX);
        for (id, uuid) in ids.iter().zip(&uuids) {
            assert_eq!(id_of::<I>(*uuid).as_ref(), Some(id), "{uuid}");
            assert_eq!(id_of::<O>(*uuid), None, "{uuid}");
            assert_eq!((uuid.get_version_num(), uuid.get_variant()), (8, uuid::Variant::RFC4122), "{uuid}");
        }
    }

    #[test]
    fn a_generated_id_and_its_uuid_lead_to_each_other() {
        both_ways::<GroupId, RuleId>();
        both_ways::<RuleId, GroupId>();
        both_ways::<PrefixListId, PortListId>();
        both_ways::<PortListId, PrefixListId>();
        both_ways::<VpcId, GroupId>();
        both_ways::<AccessKeyId, VpcId>();
        let group = GroupId::from("sg-abcdefghijkmnpqrs");
        assert_eq!(uuid_of(&group).to_string(), "73670000-0212-8a5b-86b9-f08ca74adaf8");
    }

    #[test]
    fn a_foreign_uuid_is_no_id() {
        let own = uuid_of(&GroupId::from("sg-abcdefghijkmnpqrs"));
        for bit in 0..128 {
            let other = Uuid::from_u128(own.as_u128() ^ 1 << bit);
            let found = id_of::<GroupId>(other);
            assert!(found.is_none_or(|id| uuid_of(&id) == other), "bit {bit}");
        }
        for foreign in [Uuid::nil(), Uuid::max(), Uuid::new_v5(&REGIONS, b"a")] {
            assert_eq!(id_of::<GroupId>(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_chosen_id_has_a_uuid_that_stays_and_is_looked_up() {
        let (nic, instance) = (NicId::from("eni-web"), InstanceId::from("i-web"));
        assert_eq!(uuid_of(&nic).to_string(), "1ecd8e05-8dfb-55a6-9360-d7fe34fda1dc");
        assert_ne!(uuid_of(&nic), uuid_of(&NicId::from("eni-Web")));
        assert_eq!((id_of::<NicId>(uuid_of(&nic)), id_of::<InstanceId>(uuid_of(&instance))), (None, None));
        let random = NicId::random();
        assert_eq!(uuid_of(&random).get_version_num(), 5);
    }

    #[test]
    fn a_region_has_a_project_that_stays() {
        assert_eq!(project_id("local"), "8514539d39035c5285e20b2684b0eeb1");
        assert_eq!(project_id("cn-north-4").len(), 32);
        assert_ne!(project_id("cn-north-4"), project_id("cn-north-1"));
    }
}
