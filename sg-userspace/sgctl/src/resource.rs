//! Resources of the native API: what a collection holds, and the verbs that all of them have. It must never know a resource: the
//! commands do, which call it.

use anyhow::anyhow;
use hyper::Method;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    args::filter::{Filter, Length},
    client::{address::Address, http::Call},
    failure::Failure,
    render::{
        column::Render,
        output::{Yes, count},
    },
    session::Session,
};

/// A resource as operations return it.
pub(crate) trait Resource: Render + DeserializeOwned {
    /// Its collection: the first part of its addresses.
    const COLLECTION: &'static str;
    /// The field of a change that would repeat its name.
    const TARGET: &'static str;
    /// The words for deleting it.
    const DELETE: [&'static str; 2] = ["Delete", "deleted"];
    /// As lists have it.
    type Item: Render + DeserializeOwned;
    /// As it is shown alone.
    type View: Render + DeserializeOwned;
}

impl Session<'_> {
    /// Lists what a filter lets through; `more` adds conditions of the resource.
    pub(crate) fn list<R: Resource>(
        &mut self,
        filter: Filter,
        more: impl FnOnce(Address) -> Address,
    ) -> Result<(), Failure> {
        let Filter { name, region, tags, owner, length } = filter;
        let address = Address::of(&[R::COLLECTION]).with_some("name", name).with_some("region", region);
        let address = address.with_list("tag", &tags).with_some("owner", owner);
        self.list_at::<R::Item>(&more(address), length).map(drop)
    }

    /// Lists what is at an address, and returns it.
    pub(crate) fn list_at<T: Render + DeserializeOwned>(
        &mut self,
        address: &Address,
        length: Length,
    ) -> Result<Vec<T>, Failure> {
        let most = length.most();
        let (things, total) = self.pages::<T>(address, most)?;
        let names = self.names_for(&things)?;
        self.output.many(&things, &names)?;
        let more = total.saturating_sub(things.len());
        if things.len() >= most && more > 0 {
            self.output.remark(&format!(
                "{} not listed; --all or a greater --limit lists more",
                count(more, T::NOUN)
            ));
        }
        Ok(things)
    }

    pub(crate) fn show<R: Resource>(&mut self, name: &str) -> Result<R::View, Failure> {
        let view: R::View = self.get(Address::of(&[R::COLLECTION, name]))?;
        let names = self.names_for(std::slice::from_ref(&view))?;
        self.output.one(&view, &names)?;
        Ok(view)
    }

    /// Creates one.
    pub(crate) fn create<R: Resource>(&mut self, done: &str, body: &impl Serialize) -> Result<R, Failure> {
        self.output.without_table()?;
        let created: R = self.change(Method::POST, Address::of(&[R::COLLECTION]), body)?;
        self.output.done(done, &created)?;
        Ok(created)
    }

    /// Changes one.
    pub(crate) fn modify<R: Resource>(&mut self, name: &str, body: &impl Serialize) -> Result<R, Failure> {
        self.output.without_table()?;
        let address = Address::of(&[R::COLLECTION, name]);
        let changed: R = self.change_one(Method::PATCH, address, R::TARGET, body)?;
        self.output.done("changed", &changed)?;
        Ok(changed)
    }

    /// Deletes some, one after the other, after confirmation. If one is refused, those before it stay deleted.
    pub(crate) fn delete<R: Resource>(&mut self, names: &[String], yes: Yes) -> Result<(), Failure> {
        self.delete_with::<R>(names, yes, "", |address| address)
    }

    /// The same, with what else goes in the question, and in the request as `with` says.
    pub(crate) fn delete_with<R: Resource>(
        &mut self,
        names: &[String],
        yes: Yes,
        and: &str,
        with: impl Fn(Address) -> Address,
    ) -> Result<(), Failure> {
        self.output.without_table()?;
        let [verb, done] = R::DELETE;
        if names.len() > 1 && self.client.tries() {
            return Err(Failure::input(anyhow!(
                "--confirm: one change is to be confirmed at a time, and each {} is one here: name one of them",
                R::NOUN
            )));
        }
        self.output.confirm(&format!("{verb} {} {}{and}?", R::NOUN, names.join(", ")), yes.yes)?;
        let (mut deleted, mut failure) = (Vec::with_capacity(names.len()), None);
        for name in names {
            let call = Call::change(Method::DELETE, with(Address::of(&[R::COLLECTION, name])));
            match self.client.call::<OneOrMore>(&call) {
                Ok(ids) => deleted.extend(ids.texts()),
                Err(error) => {
                    failure = Some(error.into());
                    break;
                }
            }
        }
        if failure.is_none() || !deleted.is_empty() {
            self.output.done_ids(done, R::NOUN, &deleted)?;
        }
        failure.map_or(Ok(()), Err)
    }
}

/// The id of a deleted object, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn texts(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::More(texts) => texts,
        }
    }
}
