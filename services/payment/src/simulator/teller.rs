//! The provider's decisions: one call at a time, each answered from the book.

use std::{
    collections::BTreeMap,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Fault, Mode, SimulatorSettings, Summary,
    book::{Book, Entry, Known},
    fault::{Wish, wish},
    journal::Journal,
};
use crate::provider::wire::{
    ChargeObject, ChargeRequest, ChargeStatus, RefundObject, RefundRequest,
};

/// Refusals that `refund_fails_twice` gives before it lets a refund through.
const REFUND_FAILURES: u32 = 2;

/// The simulator's clerk.
#[derive(Debug)]
pub struct Teller {
    pub(super) settings: SimulatorSettings,
    pub(super) stop: CancellationToken,
    /// Woken when everything that is on its way shall arrive.
    pub(super) arrivals: Notify,
    desk: Mutex<Desk>,
}

#[derive(Debug)]
struct Desk {
    book: Book,
    journal: Journal,
    /// Until when the provider is down for charges with a "down for" token.
    down_until: BTreeMap<String, Instant>,
    refund_failures: BTreeMap<String, u32>,
    on_their_way: BTreeMap<String, ChargeRequest>,
}

/// What comes of a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OnCharge {
    /// Answer with this charge.
    Answer(ChargeObject),
    /// Answer with this charge after a pause.
    AnswerSlowly(ChargeObject),
    /// The charge is made; do not answer.
    Silence,
    /// The charge is made; answer 500.
    Break,
    /// The charge has not arrived; do not answer. `true`: it is to arrive later.
    OnItsWay(bool),
    /// Refuse it: status, kind, code, message.
    Refuse(Refusal),
}

/// Why a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Down,
    UnknownToken,
    NotPositive,
    KeyReused,
    KeyCancelled,
    UnknownKey,
    UnknownCharge,
    NotRefundable,
    RefundFailed,
    RefundRefused,
    Broken,
}

impl Teller {
    pub(super) fn open(settings: SimulatorSettings, stop: CancellationToken) -> io::Result<Self> {
        let (journal, book) = Journal::open(settings.journal.as_deref())?;
        let desk = Desk {
            book,
            journal,
            down_until: BTreeMap::new(),
            refund_failures: BTreeMap::new(),
            on_their_way: BTreeMap::new(),
        };
        Ok(Self { settings, stop, arrivals: Notify::new(), desk: Mutex::new(desk) })
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        // Every entry is applied whole, so a desk whose clerk panicked is still in order.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The provider's books in figures.
    pub fn summary(&self) -> Summary {
        let desk = self.desk();
        let on_their_way = u64::try_from(desk.on_their_way.len()).unwrap_or(u64::MAX);
        Summary { on_their_way, ..desk.book.summary() }
    }

    /// When `fault` happens.
    pub fn mode(&self, fault: Fault) -> Mode {
        self.desk().book.mode(fault)
    }

    /// Switches a fault.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn switch(&self, fault: Fault, mode: Mode) -> io::Result<()> {
        self.desk().enter(Entry::Switch { fault, mode })
    }

    /// Lets every charge that is still on its way arrive now; tells how many there were.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn let_arrive(&self) -> io::Result<usize> {
        let mut desk = self.desk();
        let waiting: Vec<_> = std::mem::take(&mut desk.on_their_way).into_iter().collect();
        for (key, request) in &waiting {
            desk.arrive(key, request)?;
        }
        drop(desk);
        self.arrivals.notify_waiters();
        Ok(waiting.len())
    }

    /// The charge under `key` arrives, if it is still on its way.
    pub(super) fn arrive(&self, key: &str) -> io::Result<()> {
        let mut desk = self.desk();
        match desk.on_their_way.remove(key) {
            Some(request) => desk.arrive(key, &request),
            None => Ok(()),
        }
    }

    pub(super) fn charge(&self, key: &str, request: ChargeRequest) -> io::Result<OnCharge> {
        self.desk().charge(key, request)
    }

    pub(super) fn status(&self, key: &str) -> Result<ChargeObject, Refusal> {
        let desk = self.desk();
        desk.check_up(key)?;
        desk.book.known(key).map(|known| known.charge.clone()).ok_or(Refusal::UnknownKey)
    }

    pub(super) fn cancel(&self, key: &str) -> io::Result<Result<ChargeObject, Refusal>> {
        let mut desk = self.desk();
        if let Err(refusal) = desk.check_up(key) {
            return Ok(Err(refusal));
        }
        if desk.book.known(key).is_none() {
            desk.enter(Entry::Cancel { key: key.to_owned() })?;
        }
        Ok(desk.book.known(key).map(|known| known.charge.clone()).ok_or(Refusal::UnknownKey))
    }

    pub(super) fn refund(
        &self,
        key: &str,
        request: &RefundRequest,
    ) -> io::Result<Result<RefundObject, Refusal>> {
        self.desk().refund(key, request)
    }
}

impl Desk {
    fn enter(&mut self, entry: Entry) -> io::Result<()> {
        self.journal.write(&entry)?;
        self.book.enter(entry);
        Ok(())
    }

    /// Whether the provider answers calls about `key`.
    fn check_up(&self, key: &str) -> Result<(), Refusal> {
        let until = self.down_until.get(key);
        let is_down = match self.book.mode(Fault::Down) {
            Mode::Always => true,
            Mode::Off => false,
            Mode::Token => until.is_some_and(|until| Instant::now() < *until),
        };
        if is_down { Err(Refusal::Down) } else { Ok(()) }
    }

    fn charge(&mut self, key: &str, request: ChargeRequest) -> io::Result<OnCharge> {
        let Some(wish) = wish(&request.payment_method) else {
            return Ok(OnCharge::Refuse(Refusal::UnknownToken));
        };
        if let Wish::DownFor(pause) = wish
            && !self.down_until.contains_key(key)
            && self.book.mode(Fault::Down) != Mode::Off
        {
            self.down_until.insert(key.to_owned(), Instant::now() + pause);
        }
        if let Err(refusal) = self.check_up(key) {
            return Ok(OnCharge::Refuse(refusal));
        }
        if request.amount <= 0 {
            return Ok(OnCharge::Refuse(Refusal::NotPositive));
        }
        if let Some(known) = self.book.known(key).cloned() {
            return self.repeat(key, &request, known);
        }
        let fault = self.fault(wish);
        if fault == Some(Fault::LateArrival) {
            let is_new = self.on_their_way.insert(key.to_owned(), request).is_none();
            return Ok(OnCharge::OnItsWay(is_new));
        }
        let charge = self.book_charge(key, &request, self.decline_code(wish))?;
        Ok(match fault {
            Some(Fault::TimeoutButCharged) => OnCharge::Silence,
            Some(Fault::ChargedThen500) => OnCharge::Break,
            Some(Fault::Slow) => OnCharge::AnswerSlowly(charge),
            _ => OnCharge::Answer(charge),
        })
    }

    /// A key that is known: the first answer again, whatever is wrong with the provider by now.
    fn repeat(&mut self, key: &str, request: &ChargeRequest, known: Known) -> io::Result<OnCharge> {
        Ok(match known.request {
            Some(first) if first == *request => OnCharge::Answer(known.charge),
            Some(_) => OnCharge::Refuse(Refusal::KeyReused),
            None => {
                self.enter(Entry::LateCharge { key: key.to_owned() })?;
                OnCharge::Refuse(Refusal::KeyCancelled)
            }
        })
    }

    fn arrive(&mut self, key: &str, request: &ChargeRequest) -> io::Result<()> {
        match self.book.known(key).cloned() {
            Some(known) => self.repeat(key, request, known).map(drop),
            None => self.book_charge(key, request, None).map(drop),
        }
    }

    fn book_charge(
        &mut self,
        key: &str,
        request: &ChargeRequest,
        decline_code: Option<String>,
    ) -> io::Result<ChargeObject> {
        let id = format!("ch_{}", Uuid::now_v7().simple());
        let charge = ChargeObject {
            id: Some(id.clone()),
            status: match decline_code {
                Some(_) => ChargeStatus::Failed,
                None => ChargeStatus::Succeeded,
            },
            amount: Some(request.amount),
            currency: Some(request.currency.clone()),
            decline_code: decline_code.clone(),
        };
        self.enter(Entry::Charge {
            key: key.to_owned(),
            id,
            request: request.clone(),
            decline_code,
        })?;
        Ok(charge)
    }

    /// The fault of a charge that is made now: its token's own, or one that happens to all.
    fn fault(&self, wish: Wish) -> Option<Fault> {
        let always = |fault: &Fault| self.book.mode(*fault) == Mode::Always;
        let own = match wish {
            Wish::Fault(fault) if self.book.mode(fault) != Mode::Off => Some(fault),
            _ => None,
        };
        own.or_else(|| Fault::ALL.into_iter().find(always))
    }

    fn decline_code(&self, wish: Wish) -> Option<String> {
        match wish {
            Wish::Decline(code) if self.book.mode(Fault::Declined) != Mode::Off => {
                Some(code.to_owned())
            }
            _ if self.fault(wish) == Some(Fault::Declined) => Some("generic_decline".to_owned()),
            _ => None,
        }
    }

    fn refund(
        &mut self,
        key: &str,
        request: &RefundRequest,
    ) -> io::Result<Result<RefundObject, Refusal>> {
        Ok(match self.may_refund(key, request) {
            Err(refusal) => Err(refusal),
            Ok(Some(first)) => Ok(first),
            Ok(None) => {
                let id = format!("re_{}", Uuid::now_v7().simple());
                let refund =
                    RefundObject { id, charge: request.charge.clone(), amount: request.amount };
                self.enter(Entry::Refund { key: key.to_owned(), refund: refund.clone() })?;
                Ok(refund)
            }
        })
    }

    /// Whether the charge can be given back; the first refund when the key is known.
    fn may_refund(
        &mut self,
        key: &str,
        request: &RefundRequest,
    ) -> Result<Option<RefundObject>, Refusal> {
        let known = self.book.known_by_id(&request.charge).ok_or(Refusal::UnknownCharge)?;
        let token = known.request.as_ref().and_then(|request| wish(&request.payment_method));
        let (status, amount) = (known.charge.status, known.charge.amount);
        if self.book.mode(Fault::Down) == Mode::Always {
            return Err(Refusal::Down);
        }
        if let Some(first) = self.book.refund(key) {
            let is_same = first.charge == request.charge && first.amount == request.amount;
            return if is_same { Ok(Some(first.clone())) } else { Err(Refusal::KeyReused) };
        }
        if status != ChargeStatus::Succeeded || amount != Some(request.amount) {
            return Err(Refusal::NotRefundable);
        }
        match token.and_then(|wish| self.fault(wish)) {
            Some(Fault::RefundNeverWorks) => Err(Refusal::RefundRefused),
            Some(Fault::RefundFailsTwice) => {
                let failures = self.refund_failures.entry(key.to_owned()).or_default();
                *failures += 1;
                if *failures > REFUND_FAILURES { Ok(None) } else { Err(Refusal::RefundFailed) }
            }
            _ => Ok(None),
        }
    }
}
