//! The JSON form of ports and remotes: a text, or an object with the id or name of what is referred to.
//!
//! Only [`Ports`](super::Ports) and [`Remote`](super::Remote) use it; it must never know what they mean.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Ref, RefOr,
        schema::{ObjectBuilder, OneOfBuilder, Schema},
    },
};

use super::{References, ports::PortSetError};

/// A text or a reference.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Written<G, P, L> {
    Text(String),
    Reference(Reference<G, P, L>),
}

/// An object with one field.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reference<G, P, L> {
    Group(G),
    PrefixList(P),
    PortList(L),
}

/// The form that refers as `R` does.
pub(super) type WrittenOf<R> =
    Written<<R as References>::Group, <R as References>::PrefixList, <R as References>::PortList>;

/// A text or reference that is not valid as ports or as a remote.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WrittenError {
    /// The text is not a set of ports.
    #[error(transparent)]
    Ports(#[from] PortSetError),
    /// The reference is not to a port list.
    #[error("ports are \"any\", \"22,80-90\" or {{\"port_list\": \"prl-…\"}}")]
    NoPorts,
    /// The text is not a remote, or the reference is to a port list.
    #[error(
        "{found:?} is no remote: allowed are any, an address or prefix of either family, {{\"group\": \"sg-…\"}} and \
         {{\"prefix_list\": \"pl-…\"}}"
    )]
    NoRemote {
        /// The text, or the id of the port list.
        found: String,
    },
}

/// The name of [`Reference`] among the schemas.
const REFERENCE: &str = "Reference";

/// The schema of [`Written`].
pub(super) fn schema() -> RefOr<Schema> {
    let text = OneOfBuilder::new()
        .item(String::schema())
        .item(Ref::from_schema_name(REFERENCE))
        .description(Some(
            "The written form of ports and remotes: a text, or an object with the id or name of a group or list.",
        ));
    text.into()
}

/// The schemas that the schema of [`Written`] refers to.
pub(super) fn schemas<R: References>(all: &mut Vec<(String, RefOr<Schema>)>)
where
    R::Group: ToSchema,
    R::PrefixList: ToSchema,
    R::PortList: ToSchema,
{
    let objects = [
        ("group", R::Group::name()),
        ("prefix_list", R::PrefixList::name()),
        ("port_list", R::PortList::name()),
    ];
    let one_of = objects.into_iter().fold(OneOfBuilder::new(), |one_of, (key, id)| {
        one_of.item(ObjectBuilder::new().property(key, Ref::from_schema_name(id)).required(key))
    });
    all.push((REFERENCE.to_owned(), one_of.into()));
    all.push((R::Group::name().into_owned(), R::Group::schema()));
    all.push((R::PrefixList::name().into_owned(), R::PrefixList::schema()));
    all.push((R::PortList::name().into_owned(), R::PortList::schema()));
}

/// Gives a type the schema of [`Written`], its serialized form.
macro_rules! written_schema {
    ($name:ident) => {
        impl<R: References> utoipa::PartialSchema for $name<R> {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                super::written::schema()
            }
        }

        impl<R: References> utoipa::ToSchema for $name<R>
        where
            R::Group: utoipa::ToSchema,
            R::PrefixList: utoipa::ToSchema,
            R::PortList: utoipa::ToSchema,
        {
            fn schemas(all: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::schema::Schema>)>) {
                super::written::schemas::<R>(all);
            }
        }
    };
}
pub(super) use written_schema;
