//! Groups what many messages ask of the barrier: one read, one call per step, one commit.
//!
//! Messages are handled one by one, each in its own task; here they meet. While a batch is being
//! committed the next one gathers, so batches grow with the load and a lone message never waits.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use saga_core::Json;
use saga_core::barrier::{Key, Row};
use tokio::sync::{mpsc, oneshot};

use super::backoff::Jitter;
use super::handler::{Endings, Handler, guarded};
use super::meter::Meter;
use super::op::{Next, Op, Reply, Task};
use crate::barrier::{Barrier, Change, CommitError};
use crate::step::{Answer, MirrorAnswer, UndoAnswer};

/// Most operations that are committed together.
const BATCH: usize = 64;
/// Operations that may wait; whoever asks waits when there are more.
const QUEUE: usize = 1_024;
/// How often an operation starts over from its row before it counts as "not now".
const RACES: u32 = 8;

/// What all executors of a participant share.
pub(crate) struct Bench<B: Barrier> {
    pub(crate) barrier: Arc<B>,
    pub(crate) steps: BTreeMap<String, Arc<dyn Handler<B::Work>>>,
    pub(crate) mirror: Option<Arc<dyn Endings<B::Work>>>,
    /// Milliseconds since the epoch.
    pub(crate) clock: Clock,
    pub(crate) jitter: Jitter,
    pub(crate) meter: Arc<Meter>,
    /// One commit at a time.
    pub(crate) commit: tokio::sync::Mutex<()>,
}

/// Says how late it is: milliseconds since the epoch.
pub(crate) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

struct Item<W> {
    op: Op<W>,
    reply: oneshot::Sender<Reply>,
}

/// Where operations are handed in.
pub(crate) struct Executor<W> {
    queue: mpsc::Sender<Item<W>>,
}

impl<W: Send + Sync + Default + 'static> Executor<W> {
    /// Starts an executor; it ends when the last handle is gone.
    pub(crate) fn start<B: Barrier<Work = W>>(bench: Arc<Bench<B>>) -> Self {
        let (queue, items) = mpsc::channel(QUEUE);
        tokio::spawn(work(bench, items));
        Self { queue }
    }

    /// Has an operation done.
    pub(crate) async fn perform(&self, op: Op<W>) -> Reply {
        let (reply, answer) = oneshot::channel();
        let stopped = || Reply::Again(None, "the participant is stopping".to_owned());
        if self.queue.send(Item { op, reply }).await.is_err() {
            return stopped();
        }
        answer.await.unwrap_or_else(|_| stopped())
    }
}

async fn work<B: Barrier<Work: Default>>(
    bench: Arc<Bench<B>>,
    mut items: mpsc::Receiver<Item<B::Work>>,
) {
    let mut waiting: VecDeque<Item<B::Work>> = VecDeque::new();
    while let Some(batch) = gather(&mut items, &mut waiting).await {
        let (mut ops, replies): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|item| (item.op, item.reply)).unzip();
        let answers = bench.pass(&mut ops).await;
        for ((answer, mut op), reply) in answers.into_iter().zip(ops).zip(replies) {
            let answer = match answer {
                Some(answer) => answer,
                None => bench.alone(&mut op).await,
            };
            // Nobody waits any more when its message was given up meanwhile.
            reply.send(answer).unwrap_or_default();
        }
    }
}

/// The next batch: what waits, each row once; what meets a row twice waits for the next one.
async fn gather<W>(
    items: &mut mpsc::Receiver<Item<W>>,
    waiting: &mut VecDeque<Item<W>>,
) -> Option<Vec<Item<W>>> {
    if waiting.is_empty() {
        waiting.push_back(items.recv().await?);
    }
    while waiting.len() < BATCH
        && let Ok(item) = items.try_recv()
    {
        waiting.push_back(item);
    }
    let mut taken: BTreeSet<Key> = BTreeSet::new();
    let (mut batch, mut later) = (Vec::with_capacity(waiting.len()), VecDeque::new());
    for item in waiting.drain(..) {
        if taken.insert(item.op.key.clone()) {
            batch.push(item);
        } else {
            later.push_back(item);
        }
    }
    *waiting = later;
    Some(batch)
}

/// An operation whose row is known.
struct Known<W> {
    row: Option<Row>,
    next: Next<W>,
}

impl<B: Barrier<Work: Default>> Bench<B> {
    /// One operation, from its row, until it holds.
    async fn alone(&self, op: &mut Op<B::Work>) -> Reply {
        if let Task::Put(_) = op.task {
            return Reply::Raced;
        }
        op.assume_absent = false;
        for _ in 0..RACES {
            self.meter.raced();
            let found = self.pass(std::slice::from_mut(op)).await.into_iter().flatten().next();
            if let Some(reply) = found {
                return reply;
            }
        }
        Reply::Again(None, format!("the row of {} keeps changing", op.key.effect_id()))
    }

    /// Reads, asks and commits for all of them at once; `None`: its row was not as it was read.
    async fn pass(&self, ops: &mut [Op<B::Work>]) -> Vec<Option<Reply>> {
        let rows = match self.rows(ops).await {
            Ok(rows) => rows,
            Err(error) => {
                let again = || Some(Reply::Again(None, error.to_string()));
                return ops.iter().map(|_| again()).collect();
            }
        };
        let now_ms = (self.clock)();
        let mut known: Vec<Known<B::Work>> = Vec::with_capacity(ops.len());
        for (op, row) in ops.iter_mut().zip(rows) {
            let next = op.first(row.as_ref(), now_ms);
            known.push(Known { row, next });
        }
        self.ask(ops, &mut known).await;
        self.commit(ops, known).await
    }

    async fn rows(&self, ops: &[Op<B::Work>]) -> Result<Vec<Option<Row>>, CommitError> {
        let wanted = |op: &Op<B::Work>| !op.assume_absent && !matches!(op.task, Task::Put(_));
        let keys: Vec<Key> = ops.iter().filter(|op| wanted(op)).map(|op| op.key.clone()).collect();
        let mut found = if keys.is_empty() {
            Vec::new().into_iter()
        } else {
            self.barrier.read(&keys).await?.into_iter()
        };
        let row_of = |op: &Op<B::Work>| match &op.task {
            Task::Put(put) => put.seen.clone(),
            _ if op.assume_absent => None,
            _ => found.next().flatten(),
        };
        Ok(ops.iter().map(row_of).collect())
    }

    /// Asks the handlers: each once for all that it is asked, and one by one if that fails.
    async fn ask(&self, ops: &[Op<B::Work>], known: &mut [Known<B::Work>]) {
        let mut groups: BTreeMap<(&str, bool), Vec<usize>> = BTreeMap::new();
        for (index, op) in ops.iter().enumerate() {
            if matches!(known[index].next, Next::Ask) {
                let is_undo = matches!(op.task, Task::Undo(_));
                groups.entry((op.key.step.as_str(), is_undo)).or_default().push(index);
            }
        }
        for ((step, _), group) in groups {
            let began = Instant::now();
            let limit = limit(&ops[group[0]]);
            if let Err(why) = self.ask_group(ops, known, &group, limit).await {
                tracing::error!(step, jobs = group.len(), why, "a handler failed");
                self.meter.panicked(step);
                for &index in &group {
                    let alone = [index];
                    let asked = match group.len() {
                        1 => Err(why.clone()),
                        _ => self.ask_group(ops, known, &alone, limit).await,
                    };
                    if let Err(why) = asked {
                        known[index].next = Next::Reply(Reply::Again(None, why));
                    }
                }
            }
            self.meter.took(step, began.elapsed());
        }
    }

    async fn ask_group(
        &self,
        ops: &[Op<B::Work>],
        known: &mut [Known<B::Work>],
        group: &[usize],
        limit: Duration,
    ) -> Result<(), String> {
        let op = |index: usize| &ops[index];
        match &ops[group[0]].task {
            Task::Run(_) => {
                let jobs: Vec<_> = group.iter().filter_map(|&index| job(op(index))).collect();
                let handler = self.handler(op(group[0]))?;
                let answers = guarded(limit, handler.run_all(&jobs)).await?;
                for ((&index, job), answer) in group.iter().zip(jobs).zip(answers) {
                    warn_run(op(index), &answer);
                    known[index].next = op(index).after_run(job, answer);
                }
            }
            Task::Undo(_) => {
                let jobs: Vec<_> = group.iter().filter_map(|&index| undo(op(index))).collect();
                let handler = self.handler(op(group[0]))?;
                let answers = guarded(limit, handler.undo_all(&jobs)).await?;
                for ((&index, undo), answer) in group.iter().zip(jobs).zip(answers) {
                    warn_undo(op(index), &answer);
                    let next = op(index).after_undo(undo, known[index].row.as_ref(), answer);
                    known[index].next = next;
                }
            }
            Task::Mirror(_) => {
                let endings: Vec<_> = group.iter().filter_map(|&index| ending(op(index))).collect();
                let mirror = self.mirror.as_ref().ok_or("there is no mirror")?;
                let answers = guarded(limit, mirror.ended(&endings)).await?;
                for (&index, answer) in group.iter().zip(answers) {
                    if let MirrorAnswer::Again(_, why) = &answer {
                        tracing::warn!(saga = %op(index).key.id, why, "an ending comes again");
                    }
                    let next = op(index).after_mirror(known[index].row.as_ref(), answer);
                    known[index].next = next;
                }
            }
            _ => return Err("nobody to ask".to_owned()),
        }
        Ok(())
    }

    fn handler(&self, op: &Op<B::Work>) -> Result<&Arc<dyn Handler<B::Work>>, String> {
        self.steps.get(&op.key.step).ok_or_else(|| format!("no handler for {}", op.key.step))
    }

    /// Commits everything at once.
    async fn commit(&self, ops: &[Op<B::Work>], known: Vec<Known<B::Work>>) -> Vec<Option<Reply>> {
        let mut replies: Vec<Option<Reply>> = Vec::with_capacity(known.len());
        let (mut changes, mut committing) = (Vec::new(), Vec::new());
        for (index, (op, known)) in ops.iter().zip(known).enumerate() {
            match known.next {
                Next::Reply(reply) => replies.push(Some(reply)),
                Next::Ask => replies.push(Some(Reply::Again(None, "no answer".to_owned()))),
                Next::Commit { row, work, reply } => {
                    changes.push(Change { key: op.key.clone(), seen: known.row, row, work });
                    committing.push(index);
                    replies.push(Some(reply));
                }
            }
        }
        if changes.is_empty() {
            return replies;
        }
        let results = {
            let _one_at_a_time = self.commit.lock().await;
            self.barrier.commit(changes).await
        };
        let mut results = results.into_iter();
        for index in committing {
            match results.next() {
                Some(Ok(())) => {}
                Some(Err(CommitError::Raced)) => replies[index] = None,
                Some(Err(error)) => {
                    let effect = ops[index].key.effect_id();
                    tracing::error!(effect, %error, "a change was not committed");
                    replies[index] = Some(Reply::Again(None, error.to_string()));
                }
                None => {
                    let why = "the store gave fewer answers than there were changes".to_owned();
                    replies[index] = Some(Reply::Again(None, why));
                }
            }
        }
        replies
    }
}

/// How long a handler may take: the step's own time-out, an hour for what has none.
fn limit<W>(op: &Op<W>) -> Duration {
    let step = op.plan.step(&op.key.step);
    let timeout_ms = step.and_then(|step| step.timeout_ms).unwrap_or(3_600_000);
    Duration::from_millis(timeout_ms)
}

fn job<W>(op: &Op<W>) -> Option<&crate::step::Job<Json>> {
    match &op.task {
        Task::Run(job) => Some(job),
        _ => None,
    }
}

fn undo<W>(op: &Op<W>) -> Option<&crate::step::Undo<Json, serde_json::Value>> {
    match &op.task {
        Task::Undo(undo) => Some(undo),
        _ => None,
    }
}

fn ending<W>(op: &Op<W>) -> Option<&crate::step::Ending<Json>> {
    match &op.task {
        Task::Mirror(ending) => Some(ending),
        _ => None,
    }
}

fn warn_run<W>(op: &Op<W>, answer: &Answer<serde_json::Value, W>) {
    if let Answer::Again(_, why) | Answer::Unknown(why) = answer {
        tracing::warn!(saga = %op.key.id, step = %op.key.step, why, "a step comes again");
    }
}

fn warn_undo<W>(op: &Op<W>, answer: &UndoAnswer<W>) {
    match answer {
        UndoAnswer::Undone(_) => {}
        UndoAnswer::Again(_, why) => {
            tracing::warn!(saga = %op.key.id, step = %op.key.step, why, "an undo comes again");
        }
        UndoAnswer::GiveUp(reason) => {
            let (code, detail) = (&reason.code, &reason.detail);
            tracing::error!(
                saga = %op.key.id, step = %op.key.step, code, detail, "an undo was given up"
            );
        }
    }
}
