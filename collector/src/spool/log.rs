//! One lane on the disk: segments that are written at one end and read, then deleted, at the other.
//!
//! A new start never writes on where an older one stopped: it begins a segment of its own.
//!
//! What the disk does not give is asked for a few times and then read around: it counts as damage,
//! what lies behind it goes on, and the segment is kept aside for people to look at.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{self, Disk, sync_folder};
use super::segment::{self, Found, HEAD_BYTES, Head, Stored};
use crate::sink::Message;

/// How much is read at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// How often a read is tried before it is read around what fails.
const READS_MAX: u32 = 5;

/// What the name of a segment that is kept aside ends with.
const ASIDE: &str = "damaged";

/// What a log is made with.
#[derive(Clone, Debug)]
pub(crate) struct LogSettings {
    pub(crate) disk: Arc<dyn Disk>,
    /// A segment that has reached this length gets nothing more.
    pub(crate) segment_bytes_max: u64,
}

/// A message that is to be appended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Append<'a> {
    pub(crate) seq: u64,
    pub(crate) taken_ms: u64,
    pub(crate) message: &'a Message,
}

/// How much is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadLimits {
    pub(crate) records_max: usize,
    pub(crate) bytes_max: usize,
}

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Window {
    pub(crate) records: Vec<Stored>,
    /// All that is readable before this sequence number is among the records.
    pub(crate) reached: u64,
    /// Stretches that could not be read and were not met before.
    pub(crate) damages: Vec<Damage>,
}

/// A stretch of a segment that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) segment: PathBuf,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// One lane on the disk.
#[derive(Debug)]
pub(crate) struct Log {
    settings: LogSettings,
    folder: PathBuf,
    lane: u32,
    segments: VecDeque<Segment>,
    /// The last segment while it is written to.
    tail: Option<File>,
    /// The sequence number behind all that is durable.
    next: u64,
    /// All before this one are done with.
    cursor: u64,
    saved_cursor: u64,
    reading: Option<Reading>,
    /// How many reads in a row have failed.
    failed_reads: u32,
    /// Segments that are kept aside, by their files.
    aside: usize,
}

/// What is done where the disk fails to give something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Care {
    /// The read fails.
    Strict,
    /// It is read around.
    Around,
}

impl Care {
    fn read(self, disk: &dyn Disk, file: &File, at: u64, count: usize) -> io::Result<Vec<u8>> {
        match self {
            Self::Strict => disk.read(file, at, count),
            Self::Around => Ok(disk::read_around(disk, file, at, count).0),
        }
    }
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    /// The sequence number from which its records count.
    first: u64,
    /// Its durable length.
    bytes: u64,
    /// Where reading found damage; such a segment is kept aside when it is done with.
    damaged: Vec<u64>,
}

/// Where reading goes on.
#[derive(Debug)]
struct Reading {
    file: File,
    /// The segment, by its first sequence number.
    segment: u64,
    at: u64,
    /// The next sequence number that is of interest.
    seq: u64,
}

impl Log {
    /// Opens a lane's folder and takes up what an earlier run left there.
    pub(crate) fn open(folder: PathBuf, lane: u32, settings: LogSettings) -> io::Result<Self> {
        disk::make_folder(&folder)?;
        let disk = &*settings.disk;
        let mut segments: Vec<Segment> = fs::read_dir(&folder)?
            .filter_map(|entry| segment_at(disk, entry).transpose())
            .collect::<io::Result<_>>()?;
        segments.sort_by_key(|segment| segment.first);
        let mut segments = VecDeque::from(segments);
        let next = mend_last(disk, &mut segments)?;
        let aside = files_aside(&folder);
        let cursor = load_cursor(&folder);
        let first = segments.front().map_or(next, |segment| segment.first);
        let cursor = cursor.max(first);
        let next = next.max(cursor);
        let (tail, reading, saved_cursor, failed_reads) = (None, None, cursor, 0);
        Ok(Self {
            settings,
            folder,
            lane,
            segments,
            tail,
            next,
            cursor,
            saved_cursor,
            reading,
            failed_reads,
            aside,
        })
    }

    /// The sequence number behind all that is durable.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// The first sequence number that is not done with.
    pub(crate) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// How many bytes it takes on the disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// How many segments are kept aside, or will be, since not all of them could be read.
    pub(crate) fn aside(&self) -> usize {
        self.aside + self.segments.iter().filter(|segment| !segment.damaged.is_empty()).count()
    }

    /// Looks how many are still there of those that are kept aside.
    pub(crate) fn look_aside(&mut self) {
        if self.aside > 0 {
            self.aside = files_aside(&self.folder);
        }
    }

    /// When the oldest segment was begun; none if there is none or its head cannot be read.
    pub(crate) fn oldest_ms(&self) -> Option<u64> {
        let (segment, disk) = (self.segments.front()?, &self.settings.disk);
        let bytes = disk.read(&disk.open(&segment.path).ok()?, 0, HEAD_BYTES).ok()?;
        Some(Head::decode(&bytes)?.0.made_ms)
    }

    /// Appends and makes durable. Yields how many of them are: all, or those before the first that
    /// could not be; behind an error nothing of what follows is written.
    pub(crate) fn append(&mut self, records: &[Append<'_>]) -> (usize, io::Result<()>) {
        let mut done = 0;
        while done < records.len() {
            match self.append_some(&records[done..]) {
                Ok(count) => done += count,
                Err(error) => return (done, Err(error)),
            }
        }
        (done, Ok(()))
    }

    /// Appends as many as fit into one segment, at least one.
    fn append_some(&mut self, records: &[Append<'_>]) -> io::Result<usize> {
        let full =
            self.segments.back().is_some_and(|last| last.bytes >= self.settings.segment_bytes_max);
        if full {
            self.tail = None;
        }
        let first = records.first().map(|record| (record.seq, record.taken_ms));
        let Some((first, now_ms)) = first else { return Ok(0) };
        if self.tail.is_none() {
            self.begin_segment(first, now_ms)?;
        }
        let (Some(file), Some(segment)) = (&self.tail, self.segments.back_mut()) else {
            return Err(io::Error::other("there is no segment to write to"));
        };
        let mut bytes = Vec::new();
        let mut count = 0;
        for record in records {
            if count > 0 && segment.bytes + bytes.len() as u64 >= self.settings.segment_bytes_max {
                break;
            }
            segment::encode(record.seq, record.taken_ms, record.message, &mut bytes);
            count += 1;
        }
        let disk = &self.settings.disk;
        let written = disk.write(file, segment.bytes, &bytes).and_then(|()| disk.sync(file));
        if let Err(error) = written {
            // What a failed write or sync left behind is unknown. It is cut off, which may fail as
            // well, and a segment of its own begins behind it.
            let _ = file.set_len(segment.bytes);
            self.tail = None;
            return Err(error);
        }
        segment.bytes += bytes.len() as u64;
        self.next = records.get(count - 1).map_or(self.next, |record| record.seq + 1);
        Ok(count)
    }

    fn begin_segment(&mut self, first: u64, made_ms: u64) -> io::Result<()> {
        let path = self.folder.join(format!("{first:020}.seg"));
        let disk = &self.settings.disk;
        let head = Head { lane: self.lane, first, made_ms }.encode();
        let file = disk.create(&path)?;
        let made = disk.write(&file, 0, &head).and_then(|()| disk.sync(&file));
        if let Err(error) = made.and_then(|()| sync_folder(&self.folder)) {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        let bytes = HEAD_BYTES as u64;
        self.segments.push_back(Segment { path, first, bytes, damaged: Vec::new() });
        self.tail = Some(file);
        Ok(())
    }

    /// Reads the records from `seq` on, as far as they are durable and within the limits. An error
    /// may pass: whoever asks again a few times gets what can be read.
    pub(crate) fn read(&mut self, seq: u64, limits: ReadLimits) -> io::Result<Window> {
        let care = if self.failed_reads < READS_MAX { Care::Strict } else { Care::Around };
        let read = self.read_with(care, seq, limits);
        match &read {
            // What fails lies further on still.
            Ok(window) if care == Care::Around && window.damages.is_empty() => {}
            Ok(_) => self.failed_reads = 0,
            Err(_) => self.failed_reads += 1,
        }
        read
    }

    fn read_with(&mut self, care: Care, seq: u64, limits: ReadLimits) -> io::Result<Window> {
        let mut window = Window { reached: seq, ..Window::default() };
        let mut bytes_left = limits.bytes_max;
        let mut reading = match self.reading.take() {
            Some(reading) if reading.seq <= seq => Some(reading),
            Some(_) | None => self.seek(care, seq, &mut window)?,
        };
        while let Some(at) = &mut reading {
            let Some(position) = self.segments.iter().position(|s| s.first == at.segment) else {
                // It is done with and gone.
                reading = self.seek(care, seq.max(self.cursor), &mut window)?;
                continue;
            };
            let segment = &mut self.segments[position];
            if at.at >= segment.bytes {
                if position + 1 == self.segments.len() {
                    window.reached = window.reached.max(self.next);
                    break;
                }
                reading = self.begin(care, position + 1, at.seq, &mut window)?;
                continue;
            }
            let disk = &*self.settings.disk;
            let limits = (limits.records_max, &mut bytes_left);
            let full = read_chunk((disk, care), segment, at, &mut window, limits)?;
            if full {
                break;
            }
        }
        if reading.is_none() {
            window.reached = window.reached.max(self.next);
        }
        if let Some(at) = &mut reading {
            at.seq = window.reached;
        }
        self.reading = reading;
        Ok(window)
    }

    /// The beginning of the segment in which that record lies, if there is any.
    fn seek(&mut self, care: Care, seq: u64, window: &mut Window) -> io::Result<Option<Reading>> {
        let before = self.segments.iter().rposition(|segment| segment.first <= seq);
        self.begin(care, before.unwrap_or_default(), seq, window)
    }

    /// The beginning of the segment at that place, or of the first behind it that opens.
    fn begin(
        &mut self,
        care: Care,
        position: usize,
        seq: u64,
        window: &mut Window,
    ) -> io::Result<Option<Reading>> {
        for segment in self.segments.iter_mut().skip(position) {
            match self.settings.disk.open(&segment.path) {
                Ok(file) => {
                    let at = HEAD_BYTES as u64;
                    return Ok(Some(Reading { file, segment: segment.first, at, seq }));
                }
                Err(error) if care == Care::Strict => return Err(error),
                Err(_) => segment.note_damage(0, segment.bytes, window),
            }
        }
        Ok(None)
    }

    /// All before `cursor` are done with: segments without others are deleted.
    pub(crate) fn advance(&mut self, cursor: u64) {
        self.cursor = self.cursor.max(cursor);
        while let Some(segment) = self.segments.front() {
            let end = self.segments.get(1).map_or(self.next, |following| following.first);
            if end > self.cursor {
                break;
            }
            let gone = if segment.damaged.is_empty() {
                fs::remove_file(&segment.path)
            } else {
                // Somebody may want to look at it.
                let kept = fs::rename(&segment.path, segment.path.with_extension(ASIDE));
                self.aside += usize::from(kept.is_ok());
                kept
            };
            if let Err(error) = gone {
                // It is read again at the next start: copies, no loss.
                tracing::warn!(%error, segment = %segment.path.display(), "a spool segment stays");
            }
            self.segments.pop_front();
            if self.segments.is_empty() {
                self.tail = None;
            }
        }
    }

    /// Writes down how far it is done with, so that a next start need not send all of it again.
    pub(crate) fn save_cursor(&mut self) -> io::Result<()> {
        if self.saved_cursor == self.cursor {
            return Ok(());
        }
        let mut bytes = self.cursor.to_le_bytes().to_vec();
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        let file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.folder.join(CURSOR))?;
        // Over the older one: one that is half written fails its checksum and counts as none.
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0)?;
        file.sync_data()?;
        self.saved_cursor = self.cursor;
        Ok(())
    }
}

const CURSOR: &str = "cursor";

fn load_cursor(folder: &Path) -> u64 {
    let bytes = fs::read(folder.join(CURSOR)).unwrap_or_default();
    let Some((cursor, crc)) = bytes.split_first_chunk::<8>() else { return 0 };
    if crc == crc32fast::hash(cursor).to_le_bytes() { u64::from_le_bytes(*cursor) } else { 0 }
}

/// How many segments of a folder are kept aside. One that cannot be looked into is worth no error.
fn files_aside(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|kind| kind == ASIDE)).count()
}

impl Segment {
    /// Notes a stretch that cannot be read, once.
    fn note_damage(&mut self, from: u64, to: u64, window: &mut Window) {
        if !self.damaged.contains(&from) {
            self.damaged.push(from);
            window.damages.push(Damage { segment: self.path.clone(), from, to });
        }
    }
}

/// The segment that a folder's entry is, if it is one.
fn segment_at(disk: &dyn Disk, entry: io::Result<fs::DirEntry>) -> io::Result<Option<Segment>> {
    let entry = entry?;
    let path = entry.path();
    if path.extension().is_none_or(|extension| extension != "seg") {
        return Ok(None);
    }
    let first = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
    let Some(first) = first else { return Ok(None) };
    // Each record stands for itself, also where the head cannot be read.
    let head = disk.read(&disk.open(&path)?, 0, HEAD_BYTES).unwrap_or_default();
    if let Some((_, version)) = Head::decode(&head)
        && version != segment::VERSION
    {
        let text =
            format!("{} is of version {version}, which this program cannot read", path.display());
        return Err(io::Error::other(text));
    }
    Ok(Some(Segment { bytes: entry.metadata()?.len(), path, first, damaged: Vec::new() }))
}

/// Cuts off what the last segment's writer did not complete, and yields the sequence number behind
/// its last record.
fn mend_last(disk: &dyn Disk, segments: &mut VecDeque<Segment>) -> io::Result<u64> {
    let Some(last) = segments.back_mut() else { return Ok(0) };
    let (file, length) =
        (disk.open(&last.path)?, usize::try_from(last.bytes).unwrap_or(usize::MAX));
    let (bytes, missing) = match disk.read(&file, 0, length) {
        Ok(bytes) => (bytes, 0),
        Err(_) => disk::read_around(disk, &file, 0, length),
    };
    let scan = segment::scan(&bytes, last.first);
    let end = scan.end as u64;
    if missing > 0 {
        let segment = last.path.display();
        tracing::error!(%segment, missing, "the disk does not give all of a spool segment");
        // What lies behind the last record that can be read is not cut off, and whatever numbers it
        // may have are not given again.
        let behind = last.bytes.saturating_sub(end) / segment::RECORD_BYTES_MIN as u64;
        return Ok(scan.next + behind);
    }
    if end < last.bytes {
        let (segment, bytes) = (last.path.display(), last.bytes - end);
        tracing::warn!(%segment, at = end, bytes, "the torn end of a spool segment was cut off");
        let file = fs::OpenOptions::new().write(true).open(&last.path)?;
        file.set_len(end)?;
        file.sync_data()?;
        last.bytes = end;
    }
    if scan.records == 0 {
        fs::remove_file(&last.path)?;
        segments.pop_back();
    }
    Ok(scan.next)
}

/// Reads on within one segment; says whether a limit was reached.
fn read_chunk(
    (disk, care): (&dyn Disk, Care),
    segment: &mut Segment,
    at: &mut Reading,
    window: &mut Window,
    (records_max, bytes_left): (usize, &mut usize),
) -> io::Result<bool> {
    let left = usize::try_from(segment.bytes - at.at).unwrap_or(usize::MAX);
    let mut chunk = care.read(disk, &at.file, at.at, left.min(CHUNK_BYTES))?;
    let mut used = 0;
    let mut whole = chunk.len() == left;
    loop {
        match segment::decode(&chunk[used..]) {
            Found::Record(stored, length) => {
                let wanted = stored.seq >= window.reached;
                if wanted && window.records.len() >= records_max {
                    return Ok(true);
                }
                if wanted && !window.records.is_empty() && length > *bytes_left {
                    return Ok(true);
                }
                used += length;
                at.at += length as u64;
                if wanted {
                    *bytes_left = bytes_left.saturating_sub(length);
                    window.reached = stored.seq + 1;
                    window.records.push(*stored);
                }
            }
            Found::Short(need) if !whole && used > 0 && need <= CHUNK_BYTES => return Ok(false),
            Found::Short(_) if !whole => {
                chunk = care.read(disk, &at.file, at.at, left)?;
                (used, whole) = (0, true);
            }
            Found::Short(_) | Found::Damage => {
                // The rest of the segment, however long: this is rare.
                let rest = usize::try_from(segment.bytes - at.at).unwrap_or(usize::MAX);
                let rest = care.read(disk, &at.file, at.at, rest)?;
                let skipped = segment::resume(&rest, 1, window.reached)
                    .map_or(segment.bytes - at.at, |n| n as u64);
                segment.note_damage(at.at, at.at + skipped, window);
                at.at += skipped;
                return Ok(false);
            }
        }
        if used == chunk.len() {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests;
