//! Who owns which partition of a view, and where its instance is reached.
//!
//! An owner says so in the transaction that begins its epoch, in a small compacted topic whose key
//! is the partition; every instance reads the topic as a [`Table`](crate::Table). So the newest row
//! is the newest epoch's, it is there milliseconds after a hand-over, and a zombie cannot write one.
//! It tells where to ask, not who is right: whoever is asked and does not have the partition (any
//! more) must refuse.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Poison, Raw, Rows};

/// How an instance makes itself known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advert {
    /// The topic of owners, in full: compacted.
    pub topic: String,
    /// Where the other instances reach this one.
    pub address: String,
}

/// The instance that owns a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Where it is reached.
    pub address: String,
    /// The epoch that began with it. A greater one has taken over.
    pub epoch: u64,
}

/// The owners of a view's partitions, as the rows of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners(BTreeMap<u32, Owner>);

impl Owners {
    /// The owner of a partition; none where nobody has had it yet.
    pub fn of(&self, partition: u32) -> Option<&Owner> {
        self.0.get(&partition)
    }
}

impl Rows for Owners {
    fn apply(&mut self, raw: &Raw<'_>) -> Result<(), Poison> {
        let key = std::str::from_utf8(raw.key.unwrap_or_default()).map_err(Poison::malformed)?;
        let partition = key.parse().map_err(Poison::malformed)?;
        match raw.value {
            None => drop(self.0.remove(&partition)),
            Some(value) => {
                let owner = serde_json::from_slice(value).map_err(Poison::malformed)?;
                self.0.insert(partition, owner);
            }
        }
        Ok(())
    }
}

impl Advert {
    /// What is written when this instance becomes the owner: the key and the value of a row.
    pub(crate) fn row(&self, (partition, epoch): (u32, u64)) -> (String, Vec<u8>) {
        let owner = Owner { address: self.address.clone(), epoch };
        // A text and a number: this cannot fail, and an empty row would only be passed over.
        (partition.to_string(), serde_json::to_vec(&owner).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Place, Table};

    #[test]
    fn the_newest_row_is_the_owner() {
        let table = Table::<Owners>::detached("owners");
        let says = |offset, address: &str, what| {
            let advert = Advert { topic: "owners".to_owned(), address: address.to_owned() };
            let (key, value) = advert.row(what);
            let place = Place { partition: 0, offset };
            let (key, value) = (Some(key.as_bytes()), Some(value.as_slice()));
            table.apply(&Raw { source: 0, place, key, value, timestamp_ms: 0 }).unwrap();
        };
        assert_eq!(table.read().of(3), None);
        says(0, "a:1", (3, 7));
        says(1, "b:1", (4, 7));
        says(2, "b:1", (3, 8));
        let owner = |address: &str, epoch| Owner { address: address.to_owned(), epoch };
        assert_eq!(table.read().of(3), Some(&owner("b:1", 8)));
        assert_eq!(table.read().of(4), Some(&owner("b:1", 7)));

        let raw = |key, value| {
            let place = Place { partition: 0, offset: 9 };
            Raw { source: 0, place, key: Some(key), value: Some(value), timestamp_ms: 0 }
        };
        for (key, value) in [(&b"x"[..], &b"{}"[..]), (b"3", b"{}"), (b"-1", b"{}")] {
            assert_eq!(table.apply(&raw(key, value)).unwrap_err().reason, "malformed");
        }
        assert_eq!(table.read().of(3), Some(&owner("b:1", 8)));
    }
}
