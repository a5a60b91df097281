//! All lanes on the disk: one folder, one owner, and group commit.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::LANES;
use super::disk;
use super::log::{Append, Log, LogSettings, ReadLimits, Window};
use super::segment;
use crate::sink::Message;

/// The file whose lock says that a folder has its owner.
const LOCK: &str = "lock";

/// The file that is written to see whether there is room again.
const TRIAL: &str = "trial";

/// Why a spool cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process has it.
    #[error("the folder {} is in use by another collector", .0.display())]
    InUse(PathBuf),
    /// The disk fails, or holds what this program cannot read.
    #[error("the folder {}: {error}", .folder.display())]
    Disk {
        /// The spool's folder.
        folder: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// The task that opens it was interrupted.
    #[error("the spool could not be opened to the end")]
    Interrupted,
}

/// A message that is to be made durable.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) lane: usize,
    pub(crate) seq: u64,
    pub(crate) taken_ms: u64,
    pub(crate) messages: Arc<Vec<Message>>,
    /// Which of the messages.
    pub(crate) index: usize,
    /// The flight that it belongs to.
    pub(crate) flight: u64,
}

impl Job {
    /// How many bytes it takes on the disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.messages.get(self.index).map_or(0, |message| segment::bytes_of(message) as u64)
    }
}

/// A question for records.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) lane: usize,
    pub(crate) seq: u64,
    pub(crate) limits: ReadLimits,
    pub(crate) answer: oneshot::Sender<io::Result<Window>>,
}

/// What the disk is to do in one go.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) appends: Vec<Job>,
    pub(crate) reads: Vec<Read>,
    /// How far each lane is done with.
    pub(crate) cursors: Vec<u64>,
    /// Whether the cursors are to be written down.
    pub(crate) save: bool,
    /// Whether to see if there is room again.
    pub(crate) trial: bool,
    /// Whether to see if somebody has taken away what was kept aside.
    pub(crate) look_aside: bool,
}

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// The jobs, in order of their lanes and within each in their own, with whether each is durable.
    pub(crate) appended: Vec<(Job, bool)>,
    /// What the disk said to the first that is not.
    pub(crate) error: Option<io::Error>,
    /// How long writing and syncing took, if anything was.
    pub(crate) took: Option<Duration>,
    /// What all segments take.
    pub(crate) bytes: u64,
    /// Segments that are kept aside, since not all of them could be read.
    pub(crate) aside: usize,
    /// Whether the trial found room.
    pub(crate) room: bool,
}

/// All lanes on the disk. While it lives the folder is its own.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    settings: LogSettings,
    logs: Vec<Log>,
    _lock: File,
}

impl Store {
    /// Takes a folder and what an earlier run left in it.
    pub(crate) fn open(folder: &Path, settings: LogSettings) -> Result<Self, SpoolError> {
        let failed = |error| SpoolError::Disk { folder: folder.to_owned(), error };
        disk::make_folder(folder).map_err(failed)?;
        let lock = File::create(folder.join(LOCK)).map_err(failed)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => SpoolError::InUse(folder.to_owned()),
            TryLockError::Error(error) => failed(error),
        })?;
        let open = |lane: usize| {
            let number = u32::try_from(lane).unwrap_or(u32::MAX);
            let mut log = Log::open(folder.join(format!("{lane:02}")), number, settings.clone())?;
            log.advance(log.cursor());
            Ok(log)
        };
        let logs: io::Result<Vec<Log>> = (0..LANES).map(open).collect();
        let logs = logs.map_err(failed)?;
        disk::sync_folder(folder).map_err(failed)?;
        Ok(Self { folder: folder.to_owned(), settings, logs, _lock: lock })
    }

    /// The lanes, in order.
    pub(crate) fn logs(&self) -> &[Log] {
        &self.logs
    }

    /// What all segments take.
    pub(crate) fn bytes(&self) -> u64 {
        self.logs.iter().map(Log::bytes).sum()
    }

    /// Segments that are kept aside.
    pub(crate) fn aside(&self) -> usize {
        self.logs.iter().map(Log::aside).sum()
    }

    /// Does the work. What it appends is durable when this returns, or said not to be.
    pub(crate) fn commit(&mut self, work: Work) -> Done {
        let mut done = Done::default();
        for (log, cursor) in self.logs.iter_mut().zip(&work.cursors) {
            log.advance(*cursor);
            if work.save
                && let Err(error) = log.save_cursor()
            {
                tracing::warn!(%error, "how far the spool is drained could not be written down");
            }
        }
        if !work.appends.is_empty() {
            let started = Instant::now();
            self.append(work.appends, &mut done);
            done.took = Some(started.elapsed());
        }
        for read in work.reads {
            if let Some(log) = self.logs.get_mut(read.lane) {
                // Who asked may be gone.
                let _ = read.answer.send(log.read(read.seq, read.limits));
            }
        }
        done.room = work.trial && self.trial().is_ok();
        if work.look_aside {
            self.logs.iter_mut().for_each(Log::look_aside);
        }
        (done.bytes, done.aside) = (self.bytes(), self.aside());
        done
    }

    /// Appends to all lanes at once: a sync waits for the disk, and one disk can do several.
    fn append(&mut self, jobs: Vec<Job>, done: &mut Done) {
        let mut by_lane: Vec<Vec<Job>> = (0..LANES).map(|_| Vec::new()).collect();
        for job in jobs {
            if let Some(jobs) = by_lane.get_mut(job.lane) {
                jobs.push(job);
            }
        }
        let lanes = self.logs.iter_mut().zip(by_lane).filter(|(_, jobs)| !jobs.is_empty());
        let outcomes: Vec<_> = thread::scope(|scope| {
            let running: Vec<_> =
                lanes.map(|(log, jobs)| scope.spawn(move || append_to(log, jobs))).collect();
            // A thread that panicked has made nothing durable, and its jobs went with it; nothing
            // in there panics.
            running.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        for (jobs, count, outcome) in outcomes {
            let durable = jobs.into_iter().enumerate().map(|(at, job)| (job, at < count));
            done.appended.extend(durable);
            if let Err(error) = outcome {
                done.error.get_or_insert(error);
            }
        }
    }

    /// Writes and syncs a little file, to see whether there is room again.
    fn trial(&self) -> io::Result<()> {
        let path = self.folder.join(TRIAL);
        let _ = std::fs::remove_file(&path);
        let disk = &self.settings.disk;
        let file = disk.create(&path)?;
        let written = disk.write(&file, 0, &[0x2a; 4096]).and_then(|()| disk.sync(&file));
        std::fs::remove_file(&path)?;
        written
    }
}

fn append_to(log: &mut Log, jobs: Vec<Job>) -> (Vec<Job>, usize, io::Result<()>) {
    let records = jobs.iter().filter_map(|job| {
        let message = job.messages.get(job.index)?;
        Some(Append { seq: job.seq, taken_ms: job.taken_ms, message })
    });
    let records: Vec<Append<'_>> = records.collect();
    let (count, outcome) = log.append(&records);
    drop(records);
    (jobs, count, outcome)
}
