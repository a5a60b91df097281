//! A database in a folder of its own.

use super::*;
use crate::testing::Folder;

fn entry(key: &str, bytes: Option<&str>) -> Entry {
    Entry {
        key: Arc::from(key.as_bytes()),
        bytes: bytes.map(|bytes| Arc::from(bytes.as_bytes())),
        touched_ms: 9,
    }
}

fn extent(next: u64, batches: u64) -> Extent {
    Extent { next, epoch: 3, stream_time_ms: 9, at_ms: 10, batches, ..Extent::default() }
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let folder = Folder::new();
    {
        let (shelf, before) = Store::open(folder.path(), 0).unwrap().shelf(2).unwrap();
        assert_eq!(before, None);
        let entries = [entry("a", Some("1")), entry("b", Some("2"))];
        shelf.put(&entries, &extent(10, 1)).unwrap();
        shelf.put(&[entry("b", None)], &extent(12, 2)).unwrap();
    }
    let store = Store::open(folder.path(), 0).unwrap();
    let (shelf, found) = store.shelf(2).unwrap();
    assert_eq!(found, Some(extent(12, 2)));
    assert_eq!(shelf.get(b"a").unwrap(), Some((Arc::from(&b"1"[..]), 9)));
    assert_eq!(shelf.get(b"b").unwrap(), None);
    let (other, found) = store.shelf(3).unwrap();
    assert_eq!((other.get(b"a").unwrap(), found), (None, None));
}

#[test]
fn what_lies_behind_a_transaction_of_ours_is_its_marker_and_nothing_else() {
    let of = |is_before_marker| Extent { is_before_marker, ..extent(10, 1) };
    assert!(of(false).is_all_of(10));
    assert!(!of(false).is_all_of(11), "a record that somebody wrote beside all transactions");
    assert!(of(true).is_all_of(11));
    assert!(!of(true).is_all_of(12), "a record, and its own marker");
    // As an earlier version wrote it.
    let read: Extent =
        serde_json::from_str(r#"{"next":10,"epoch":3,"stream_time_ms":9,"at_ms":10,"batches":1}"#)
            .unwrap();
    assert_eq!(read, of(false));
}

#[test]
fn a_batch_that_is_missing_in_the_middle_is_noticed() {
    let folder = Folder::new();
    {
        let (shelf, _) = Store::open(folder.path(), 0).unwrap().shelf(0).unwrap();
        for batch in [1, 2, 4] {
            shelf.put(&[entry("a", Some("1"))], &extent(batch, batch)).unwrap();
        }
    }
    let (shelf, found) = Store::open(folder.path(), 0).unwrap().shelf(0).unwrap();
    assert_eq!((found, shelf.get(b"a").unwrap()), (None, None));
}

#[test]
fn many_batches_are_whole() {
    let folder = Folder::new();
    {
        let (shelf, _) = Store::open(folder.path(), 0).unwrap().shelf(0).unwrap();
        for batch in 1..=3 * MARKS {
            shelf.put(&[entry("a", Some("1"))], &extent(batch, batch)).unwrap();
        }
    }
    let (_, found) = Store::open(folder.path(), 0).unwrap().shelf(0).unwrap();
    assert_eq!(found, Some(extent(3 * MARKS, 3 * MARKS)));
}

#[test]
fn a_folder_that_cannot_be_read_is_put_aside() {
    let folder = Folder::new();
    {
        let (shelf, _) = Store::open(folder.path(), 0).unwrap().shelf(0).unwrap();
        shelf.put(&[entry("a", Some("1"))], &extent(1, 1)).unwrap();
    }
    let files = std::fs::read_dir(folder.path()).unwrap();
    for file in files.map(|file| file.unwrap().path()).filter(|path| path.is_file()) {
        std::fs::write(file, b"garbage that is no database at all").unwrap();
    }
    let (shelf, found) = Store::open(folder.path(), 0).unwrap().shelf(0).unwrap();
    assert_eq!((found, shelf.get(b"a").unwrap()), (None, None));
    let aside = beside(folder.path());
    assert!(aside.is_dir());
    std::fs::remove_dir_all(aside).unwrap();
}

#[test]
fn one_process_at_a_time() {
    let folder = Folder::new();
    let _held = Store::open(folder.path(), 0).unwrap();
    let error = Store::open(folder.path(), 0).unwrap_err().to_string();
    assert!(error.contains("in use by another process"), "{error}");
}

#[test]
fn a_partition_is_restored_by_one_at_a_time() {
    let folder = Folder::new();
    let store = Store::open(folder.path(), 0).unwrap();
    let first = store.reserve(1);
    assert!(first.is_some() && store.reserve(1).is_none() && store.reserve(2).is_some());
    drop(first);
    assert!(store.reserve(1).is_some());
}

#[test]
fn states_of_a_later_form_are_not_read_and_those_of_an_earlier_one_are() {
    let folder = Folder::new();
    let open = |form| Store::open(folder.path(), form).unwrap().shelf(0).unwrap();
    open(0).0.put(&[entry("a", Some("1"))], &extent(1, 1)).unwrap();
    let (shelf, found) = open(1);
    assert_eq!(found, Some(extent(1, 1)));
    shelf.put(&[entry("b", Some("2"))], &extent(2, 2)).unwrap();
    drop(shelf);
    assert_eq!(open(1).1, Some(extent(2, 2)));
    let (shelf, found) = open(0);
    assert_eq!((found, shelf.get(b"a").unwrap()), (None, None));
}

#[test]
fn what_cannot_be_read_is_made_anew_the_next_time() {
    let folder = Folder::new();
    let store = Store::open(folder.path(), 0).unwrap();
    let (shelf, _) = store.shelf(0).unwrap();
    shelf.put(&[entry("a", Some("1")), entry("b", Some("2"))], &extent(10, 1)).unwrap();
    for damage in 0..3 {
        let (shelf, _) = store.shelf(0).unwrap();
        shelf.put(&[entry("b", Some("2"))], &extent(10, 1)).unwrap();
        // Shorter than the time before each state.
        shelf.states.insert("b", "?").unwrap();
        let read = match damage {
            0 => shelf.get(b"b").map(|_| ()),
            1 => shelf.each(|_, _| {}),
            _ => shelf.touched_before(5, None, 9).map(|_| ()),
        };
        assert!(matches!(read, Err(Error::Store(_))), "{read:?}");
        let (shelf, found) = store.shelf(0).unwrap();
        assert_eq!((found, shelf.get(b"b").unwrap()), (None, None));
    }
    assert!(!store.is_given_up());
}
