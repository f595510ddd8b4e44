//! The order in which a server comes to life and goes.
//!
//! One task on core 0. It opens the directory ([`Boot`]) and leads all cores, itself among them, through the
//! same steps: recover → (new epoch durable) → arm → listen → serve → drain → stop → (clean stop durable) →
//! leave. A core goes to the next step only when all have done the one before. Nothing is served before the
//! epoch is on disk, and nothing is sealed before every connection has ended or was given up.

use super::error::ServeError;
use super::{ServerConfig, seat};
use crate::shard::ShardTable;
use crate::shard::driver::{log_notice, stop_process};
use crate::shard::files::Files;
use crate::sys::disk::Disk;
use crate::sys::executor::{Either, race};
use crate::sys::notify::Notify;
use crate::sys::offload::Offload;
use crate::sys::signal::StopSignal;
use crate::sys::{clock, memory, post, random};
use commitlog::ShardMark;
use engine::{Boot, BootConfig, Effect, Refusal, Sabotage, ShardPlan, ShardReport};
use std::rc::Rc;
use std::sync::mpsc;
use types::{CoreId, ServerEpoch, ShardId};

/// What a core is told to do.
pub(super) enum Order {
    /// Recover your shard.
    Recover(Box<ShardPlan>, ShardTable),
    /// The epoch is durable: write your fence.
    Arm(ServerEpoch),
    /// Accept connections.
    Listen,
    /// Accept no more; tell the connections to finish.
    Drain,
    /// Checkpoint and seal your shard.
    Stop,
    /// End.
    Leave,
}

/// What a core says when it has done so.
pub(super) enum Report {
    Recovered(Box<ShardReport>),
    Armed,
    Listening,
    Drained { left: usize },
    Stopped(ShardMark),
    Failed(ServeError),
}

/// The coordinator before and while it runs.
pub(super) struct Coordinator {
    config: ServerConfig,
    /// Requests to stop.
    stop: post::Receiver<StopSignal>,
    /// Gets the number of partitions when everything is open.
    announce: mpsc::Sender<u16>,
    /// By core.
    orders: Vec<post::Sender<Order>>,
    reports: post::Receiver<(CoreId, Report)>,
    report_to: post::Sender<(CoreId, Report)>,
}

impl Coordinator {
    pub(super) fn new(
        config: ServerConfig,
        stop: post::Receiver<StopSignal>,
        announce: mpsc::Sender<u16>,
    ) -> Coordinator {
        let (report_to, reports) = post::channel();
        Coordinator { config, stop, announce, orders: Vec::new(), reports, report_to }
    }

    /// The two ends that the next core holds.
    pub(super) fn seat(&mut self) -> (post::Receiver<Order>, post::Sender<(CoreId, Report)>) {
        let (orders, receiver) = post::channel();
        self.orders.push(orders);
        (receiver, self.report_to.clone())
    }

    /// Leads the server from start to end.
    pub(super) async fn run(mut self, offload: Offload) -> Result<(), ServeError> {
        let outcome = self.live(offload).await;
        self.order_all(|| Order::Leave);
        outcome
    }

    async fn live(&mut self, offload: Offload) -> Result<(), ServeError> {
        let root = self.config.data_dir.clone();
        let disk = Disk::new(root, offload, seat::OPEN_FILES_MAX);
        let mut directory = Directory::new(disk, &self.config);
        let plans = directory.open().await.map_err(ServeError::Refused)?;
        let partition_count = plans[0].partition_count;
        let reports = self.recover(plans).await?;
        let epoch = directory.arm(&reports).await.map_err(ServeError::Refused)?;
        self.order_all(|| Order::Arm(epoch));
        self.gather(|report| matches!(report, Report::Armed).then_some(())).await?;
        self.order_all(|| Order::Listen);
        self.gather(|report| matches!(report, Report::Listening).then_some(())).await?;
        // The starter may have gone away; the server serves all the same.
        let _ = self.announce.send(partition_count);
        self.serve().await?;
        let marks = self.drain_and_stop().await?;
        directory.seal(marks).await
    }

    /// Lets every core recover its shard.
    async fn recover(&mut self, plans: Vec<ShardPlan>) -> Result<Vec<ShardReport>, ServeError> {
        let table = table_of(&plans);
        for (orders, plan) in self.orders.iter().zip(plans) {
            orders.send(Order::Recover(Box::new(plan), table.clone()));
        }
        let reports = self.gather(|report| match report {
            Report::Recovered(report) => Some(*report),
            _ => None,
        });
        let reports = reports.await?;
        for report in &reports {
            report.notices.iter().for_each(|text| log_notice(report.shard, text));
        }
        memory::give_back();
        Ok(reports)
    }

    /// Waits for a request to stop; a core that fails meanwhile ends the server.
    async fn serve(&mut self) -> Result<(), ServeError> {
        match race(self.stop.recv(), self.reports.recv()).await {
            Either::Second(Some((_, Report::Failed(error)))) => Err(error),
            Either::First(_) | Either::Second(_) => Ok(()),
        }
    }

    async fn drain_and_stop(&mut self) -> Result<Vec<ShardMark>, ServeError> {
        self.order_all(|| Order::Drain);
        let left = self.gather(|report| match report {
            Report::Drained { left } => Some(left),
            _ => None,
        });
        let left: usize = left.await?.into_iter().sum();
        if left > 0 {
            eprintln!("millrace: {left} connections did not finish in time and are cut");
        }
        self.order_all(|| Order::Stop);
        self.gather(|report| match report {
            Report::Stopped(mark) => Some(mark),
            _ => None,
        })
        .await
    }

    fn order_all(&self, order: impl Fn() -> Order) {
        self.orders.iter().for_each(|orders| orders.send(order()));
    }

    /// Waits until every core has reported what `wanted` picks; in the order of the cores.
    async fn gather<T>(&mut self, wanted: impl Fn(Report) -> Option<T>) -> Result<Vec<T>, ServeError> {
        let mut found: Vec<Option<T>> = self.orders.iter().map(|_| None).collect();
        while found.iter().any(Option::is_none) {
            let (core, report) = self.reports.recv().await.expect("the coordinator holds a sender itself");
            if let Report::Failed(error) = report {
                return Err(error);
            }
            let report = wanted(report).expect("the cores report the step that was ordered");
            found[usize::from(core.0)] = Some(report);
        }
        Ok(found.into_iter().flatten().collect())
    }
}

fn table_of(plans: &[ShardPlan]) -> ShardTable {
    let mut owner = vec![ShardId(0); usize::from(plans[0].partition_count)];
    for plan in plans {
        plan.partitions.iter().for_each(|partition| owner[usize::from(partition.0)] = plan.shard);
    }
    ShardTable::new(owner, plans[0].shards_now)
}

/// The directory's state machine and its disk work.
struct Directory {
    boot: Boot,
    files: Rc<Files>,
    effects: Vec<Effect>,
}

impl Directory {
    fn new(disk: Rc<Disk>, config: &ServerConfig) -> Directory {
        let boot = Boot::new(BootConfig {
            directory_id_new: random::bits_128(),
            node_id_new: random::bits_128(),
            partition_count: config.partition_count,
            shard_count: u16::try_from(config.cores.len()).expect("preflight found these processors"),
            now: clock::now(),
            writer_version: env!("CARGO_PKG_VERSION").to_owned(),
            strict: config.strict,
            sabotage: Sabotage::None,
        });
        Directory { boot, files: Files::new(disk, Rc::new(Notify::new())), effects: Vec::new() }
    }

    async fn open(&mut self) -> Result<Vec<ShardPlan>, Refusal> {
        self.boot.handle_start(&mut self.effects);
        let plans = self.until(Boot::take_plans).await;
        self.boot.take_notices().iter().for_each(|text| eprintln!("millrace: {text}"));
        plans
    }

    async fn arm(&mut self, reports: &[ShardReport]) -> Result<ServerEpoch, Refusal> {
        self.boot.handle_recovered(reports, &mut self.effects);
        self.until(Boot::take_armed).await
    }

    async fn seal(&mut self, marks: Vec<ShardMark>) -> Result<(), ServeError> {
        self.boot.handle_stopped(marks, &mut self.effects);
        self.until(|boot| (boot.is_sealed() || boot.is_refused()).then_some(())).await;
        if self.boot.is_sealed() {
            return Ok(());
        }
        let refusal = self.boot.take_armed().and_then(Result::err);
        Err(refusal.map_or(ServeError::StoppedEarly, ServeError::Refused))
    }

    /// Executes what the boot asks for until `done` finds what is waited for.
    async fn until<T>(&mut self, done: impl Fn(&mut Boot) -> Option<T>) -> T {
        loop {
            for effect in self.effects.drain(..) {
                match effect {
                    Effect::Disk { op, urgency, work } => self.files.start(op, urgency, work),
                    Effect::Notice(text) => eprintln!("millrace: {text}"),
                    Effect::Fatal(fatal) => stop_process(ShardId(0), &fatal),
                    Effect::Reply { .. } | Effect::Deliver(_) => unreachable!("nobody asks a boot"),
                }
            }
            if let Some(found) = done(&mut self.boot) {
                return found;
            }
            let (op, result) = self.files.next().await;
            self.boot.handle_disk(op, result, &mut self.effects);
        }
    }
}
