//! The log against a model: whatever happens, what was acknowledged comes back in its order.

use proptest::prelude::*;

use super::*;
use crate::spool::testing::{FaultyDisk, Folder, message};

const ALL: ReadLimits = ReadLimits { records_max: usize::MAX, bytes_max: usize::MAX };

fn open(folder: &Folder, disk: &FaultyDisk) -> Log {
    let settings = LogSettings { disk: Arc::new(disk.clone()), segment_bytes_max: 600 };
    Log::open(folder.path().join("00"), 0, settings).unwrap()
}

fn append(log: &mut Log, seqs: std::ops::Range<u64>) -> (usize, io::Result<()>) {
    let messages: Vec<Message> = seqs.clone().map(|seq| message("v1", &seq.to_string())).collect();
    let records: Vec<Append<'_>> =
        seqs.zip(&messages).map(|(seq, message)| Append { seq, taken_ms: seq, message }).collect();
    log.append(&records)
}

fn seqs(window: &Window) -> Vec<u64> {
    window.records.iter().map(|stored| stored.seq).collect()
}

fn files(folder: &Folder, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.path().join("00")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    paths.sort();
    paths
}

#[test]
fn what_is_done_with_is_deleted_segment_by_segment() {
    let (folder, disk) = (Folder::new(), FaultyDisk::default());
    let mut log = open(&folder, &disk);
    append(&mut log, 0..40).1.unwrap();
    let segments = files(&folder, "seg").len();
    assert!(segments > 3, "{segments}");
    assert_eq!(seqs(&log.read(0, ALL).unwrap()), (0..40).collect::<Vec<_>>());
    log.advance(20);
    let left = files(&folder, "seg").len();
    assert!(left < segments && left > 0);
    log.advance(40);
    assert_eq!((files(&folder, "seg").len(), log.bytes()), (0, 0));
    append(&mut log, 40..42).1.unwrap();
    let window = log.read(40, ALL).unwrap();
    assert_eq!((seqs(&window), window.reached), (vec![40, 41], 42));
}

#[test]
fn numbers_are_never_given_twice_after_a_restart() {
    let (folder, disk) = (Folder::new(), FaultyDisk::default());
    let mut log = open(&folder, &disk);
    append(&mut log, 0..5).1.unwrap();
    log.advance(5);
    log.save_cursor().unwrap();
    drop(log);
    let log = open(&folder, &disk);
    assert_eq!((log.cursor(), log.next()), (5, 5));
}

#[test]
fn a_torn_end_is_cut_off_at_every_byte() {
    let (folder, disk) = (Folder::new(), FaultyDisk::default());
    append(&mut open(&folder, &disk), 0..3).1.unwrap();
    let [path] = &*files(&folder, "seg") else { panic!("one segment") };
    let whole = fs::read(path).unwrap();
    let record = (whole.len() - HEAD_BYTES) / 3;
    for cut in 0..whole.len() {
        fs::write(path, &whole[..cut]).unwrap();
        let mut log = open(&folder, &disk);
        let complete = cut.saturating_sub(HEAD_BYTES) / record;
        let next = log.next();
        assert_eq!(next, complete as u64, "cut at {cut}");
        assert_eq!(seqs(&log.read(0, ALL).unwrap()), (0..next).collect::<Vec<_>>());
        // It goes on behind, in a segment of its own.
        append(&mut log, next..next + 1).1.unwrap();
        drop(log);
        let all = open(&folder, &disk).read(0, ALL).unwrap();
        assert_eq!((seqs(&all), all.damages.len()), ((0..=next).collect(), 0), "cut at {cut}");
        for path in files(&folder, "seg") {
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn damage_in_the_middle_is_named_once_and_kept_aside() {
    let (folder, disk) = (Folder::new(), FaultyDisk::default());
    append(&mut open(&folder, &disk), 0..20).1.unwrap();
    let first = files(&folder, "seg")[0].clone();
    let mut bytes = fs::read(&first).unwrap();
    bytes[HEAD_BYTES + 20] ^= 1;
    fs::write(&first, bytes).unwrap();
    let mut log = open(&folder, &disk);
    let window = log.read(0, ALL).unwrap();
    assert_eq!(seqs(&window), (1..20).collect::<Vec<_>>());
    let [damage] = &*window.damages else { panic!("{:?}", window.damages) };
    assert_eq!((&damage.segment, damage.from), (&first, HEAD_BYTES as u64));
    assert!(log.read(0, ALL).unwrap().damages.is_empty());
    log.advance(20);
    assert_eq!((files(&folder, "seg").len(), files(&folder, "damaged").len()), (0, 1));
    assert_eq!(open(&folder, &disk).next(), 0);
}

#[test]
fn a_segment_without_an_end_is_left_behind() {
    let (folder, disk) = (Folder::new(), FaultyDisk::default());
    append(&mut open(&folder, &disk), 0..20).1.unwrap();
    let first = files(&folder, "seg")[0].clone();
    let file = fs::OpenOptions::new().write(true).open(&first).unwrap();
    file.set_len(HEAD_BYTES as u64 + 3).unwrap();
    let mut log = open(&folder, &disk);
    let window = log.read(0, ALL).unwrap();
    assert_eq!((window.damages.len(), window.reached), (1, 20));
    assert_eq!(seqs(&window).last(), Some(&19));
}

#[test]
fn a_segment_of_a_newer_form_is_not_touched() {
    let (folder, disk) = (Folder::new(), FaultyDisk::default());
    append(&mut open(&folder, &disk), 0..1).1.unwrap();
    let path = files(&folder, "seg")[0].clone();
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 9;
    let crc = crc32fast::hash(&bytes[..32]).to_le_bytes();
    bytes[32..36].copy_from_slice(&crc);
    fs::write(&path, bytes).unwrap();
    let settings = LogSettings { disk: Arc::new(disk), segment_bytes_max: 600 };
    let error = Log::open(folder.path().join("00"), 0, settings).unwrap_err();
    assert!(error.to_string().contains("is of version 9"), "{error}");
}

/// One thing that happens to a log.
#[derive(Clone, Debug)]
enum Act {
    Append(u64),
    /// The disk is full, or does not sync, for one append.
    Full(u64),
    Unsynced(u64),
    /// Reads so many from the first that is left, and is done with them.
    Drain(usize),
    SaveCursor,
    Restart,
    /// The process ends in the middle of a write.
    Crash(u8),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1..6_u64).prop_map(Act::Append),
        1 => (1..4_u64).prop_map(Act::Full),
        1 => (1..4_u64).prop_map(Act::Unsynced),
        3 => (1..9_usize).prop_map(Act::Drain),
        1 => Just(Act::SaveCursor),
        1 => Just(Act::Restart),
        1 => any::<u8>().prop_map(Act::Crash),
    ]
}

/// A log beside what it should hold.
struct Model {
    folder: Folder,
    disk: FaultyDisk,
    log: Log,
    /// Acknowledged and not drained.
    kept: VecDeque<u64>,
    next: u64,
}

impl Model {
    fn new() -> Self {
        let (folder, disk) = (Folder::new(), FaultyDisk::default());
        let log = open(&folder, &disk);
        Self { folder, disk, log, kept: VecDeque::new(), next: 0 }
    }

    fn append(&mut self, count: u64) {
        let (done, outcome) = append(&mut self.log, self.next..self.next + count);
        assert_eq!(outcome.is_ok(), done as u64 == count);
        self.kept.extend(self.next..self.next + done as u64);
        self.next += count;
    }

    fn restart(&mut self) {
        self.log = open(&self.folder, &self.disk);
        let next = self.log.next();
        assert!(self.kept.back().is_none_or(|last| *last < next));
        self.next = self.next.max(next);
    }

    /// What is read holds everything that is kept, in order; copies of what was drained or refused
    /// may be among it.
    fn check_from(&mut self, seq: u64, records_max: usize) -> u64 {
        let limits = ReadLimits { records_max, ..ALL };
        let window = self.log.read(seq, limits).unwrap();
        assert!(window.damages.is_empty(), "{:?}", window.damages);
        let read = seqs(&window);
        assert!(read.is_sorted() && read.len() <= records_max);
        let due: Vec<u64> =
            self.kept.iter().copied().filter(|s| (seq..window.reached).contains(s)).collect();
        let found: Vec<u64> = read.into_iter().filter(|seq| due.contains(seq)).collect();
        assert_eq!(found, due);
        window.reached
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Append(count) => self.append(count),
            Act::Full(count) => {
                self.disk.set_full(true);
                self.append(count);
                self.disk.set_full(false);
            }
            Act::Unsynced(count) => {
                self.disk.set_unsynced(true);
                self.append(count);
                self.disk.set_unsynced(false);
            }
            Act::Drain(count) => {
                let reached = self.check_from(self.log.cursor(), count);
                self.kept.retain(|seq| *seq >= reached);
                self.log.advance(reached);
            }
            Act::SaveCursor => self.log.save_cursor().unwrap(),
            Act::Restart => self.restart(),
            Act::Crash(length) => {
                if let Some(last) = files(&self.folder, "seg").last() {
                    let mut torn = Vec::new();
                    segment::encode(self.next, 0, &message("v1", "never acknowledged"), &mut torn);
                    torn.truncate(usize::from(length) % torn.len());
                    let mut bytes = fs::read(last).unwrap();
                    bytes.extend_from_slice(&torn);
                    fs::write(last, bytes).unwrap();
                }
                self.restart();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn what_was_acknowledged_comes_back_in_order(acts in proptest::collection::vec(act(), 1..40)) {
        let mut model = Model::new();
        for act in &acts {
            model.act(act);
        }
        model.restart();
        let mut seq = model.log.cursor();
        while seq < model.log.next() {
            seq = model.check_from(seq, 3);
        }
    }
}
