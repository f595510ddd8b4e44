//! One core of a server: does what the coordinator orders, step by step.
//!
//! It owns what belongs to the core alone: its end of the mesh, its disk, its link, its listener and its
//! connections. A step that fails is reported; then only the order to leave is expected.

use super::connections::{Admission, Connections, Entrance};
use super::coordinator::{Order, Report};
use super::doors::Door;
use super::error::ServeError;
use super::face::Face;
use crate::shard::driver::{Driver, StopSwitch};
use crate::shard::files::Files;
use crate::shard::recover::{Recovered, arm, recover};
use crate::shard::{CoreLink, Message, ShardTable};
use crate::sys::disk::Disk;
use crate::sys::executor::{Queue, sleep, spawn};
use crate::sys::mesh::{Inbox, Mesh, MeshPort};
use crate::sys::offload::Offload;
use crate::sys::post;
use engine::ShardPlan;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use types::{CoreId, Limits, ServerEpoch, ShardId};

/// Files that a core keeps open between uses; `preflight` counts with it.
pub(super) const OPEN_FILES_MAX: usize = 256;

/// What a core is given to start with.
pub(super) struct Seat<F: Face> {
    pub(super) core: CoreId,
    pub(super) data_dir: PathBuf,
    pub(super) limits: Limits,
    pub(super) offload: Offload,
    pub(super) admission: Arc<Admission>,
    pub(super) port: MeshPort<Message>,
    pub(super) doors: Vec<Door>,
    pub(super) face: F,
    pub(super) orders: post::Receiver<Order>,
    pub(super) reports: post::Sender<(CoreId, Report)>,
}

/// A core at work. Each part comes with the step that makes it.
struct Seated<F: Face> {
    core: CoreId,
    limits: Limits,
    disk: Rc<Disk>,
    mesh: Rc<Mesh<Message>>,
    inbox: Option<Inbox<Message>>,
    face: F,
    admission: Arc<Admission>,
    /// Until they are opened.
    doors: Vec<Door>,
    reports: post::Sender<(CoreId, Report)>,
    shard: Option<Shard<F>>,
    recovered: Option<Recovered>,
    driver: Option<StopSwitch>,
    connections: Rc<Connections>,
}

struct Shard<F: Face> {
    link: Rc<CoreLink>,
    files: Rc<Files>,
    core: Rc<F::Core>,
}

impl<F: Face> Seat<F> {
    /// Lives until it is told to leave.
    pub(super) async fn run(self) {
        let Seat { core, data_dir, limits, offload, admission, port, doors, face, mut orders, reports } =
            self;
        let (mesh, inbox) = port.open();
        let disk = Disk::new(data_dir, offload, OPEN_FILES_MAX);
        let mut seated = Seated {
            core,
            limits,
            disk,
            mesh,
            inbox: Some(inbox),
            face,
            admission,
            doors,
            reports,
            shard: None,
            recovered: None,
            driver: None,
            connections: Rc::default(),
        };
        while let Some(order) = orders.recv().await {
            if matches!(order, Order::Leave) {
                break;
            }
            if let Err(error) = seated.follow(order).await {
                seated.report(Report::Failed(error));
            }
        }
        seated.leave().await;
    }
}

impl<F: Face> Seated<F> {
    async fn follow(&mut self, order: Order) -> Result<(), ServeError> {
        match order {
            Order::Recover(plan, table) => self.recover(*plan, table).await,
            Order::Arm(epoch) => self.arm(epoch).await,
            Order::Listen => self.listen(),
            Order::Drain => {
                self.drain();
                Ok(())
            }
            Order::Stop => {
                self.driver.as_ref().expect("armed before").stop();
                Ok(())
            }
            Order::Leave => Ok(()),
        }
    }

    async fn recover(&mut self, plan: ShardPlan, table: ShardTable) -> Result<(), ServeError> {
        let link = CoreLink::new(self.core, self.limits.clone(), table, self.mesh.clone());
        let files = Files::new(self.disk.clone(), link.shard_changed());
        let core = self.face.open(link.clone());
        let inbox = self.inbox.take().expect("a core recovers once");
        inbox.receive({
            let link = link.clone();
            move |message| link.handle_message(message)
        });
        let shard = Shard { link, files: files.clone(), core };
        self.shard = Some(shard);
        let (recovered, report) =
            recover(plan, self.limits.clone(), &files).await.map_err(ServeError::Refused)?;
        self.recovered = Some(recovered);
        self.report(Report::Recovered(Box::new(report)));
        Ok(())
    }

    async fn arm(&mut self, epoch: ServerEpoch) -> Result<(), ServeError> {
        let recovered = self.recovered.take().expect("recovered before");
        let shard = self.shard();
        let (link, files) = (shard.link.clone(), shard.files.clone());
        let engine = arm(recovered, epoch, &files).await.map_err(ServeError::Refused)?;
        let driver = Driver::new(ShardId(self.core.0), link, files, engine);
        self.driver = Some(driver.stop_switch());
        let (core, reports) = (self.core, self.reports.clone());
        spawn(Queue::Commit, async move {
            let mark = driver.run().await;
            reports.send((core, Report::Stopped(mark)));
        });
        // All cores wait for all before they listen: nobody is served by one while another still learns who
        // may do what. Not waited for here: if another core fails, this one is told to leave.
        let opened = F::opened(self.shard().core.clone());
        let (core, reports) = (self.core, self.reports.clone());
        spawn(Queue::Net, async move {
            let report = match opened.await {
                Ok(()) => Report::Armed,
                Err(reason) => Report::Failed(ServeError::NotOpened(reason)),
            };
            reports.send((core, report));
        });
        Ok(())
    }

    fn listen(&mut self) -> Result<(), ServeError> {
        let handshake_max = Duration::from_millis(self.limits.tls_handshake_timeout_ms);
        for Door { bound, tls } in std::mem::take(&mut self.doors) {
            let addr = bound.addr();
            let listener = bound.listen().map_err(|error| ServeError::Address { addr, error })?;
            let shard = self.shard();
            let entrance = Entrance::<F> {
                listener,
                tls: tls.map(|acceptor| (acceptor, handshake_max)),
                link: shard.link.clone(),
                core: shard.core.clone(),
                admission: self.admission.clone(),
            };
            spawn(Queue::Net, self.connections.clone().accept(entrance));
        }
        self.report(Report::Listening);
        Ok(())
    }

    /// Tells the connections; reports when they have ended or the time is over.
    fn drain(&self) {
        self.shard().link.set_draining();
        let (connections, core, reports) = (self.connections.clone(), self.core, self.reports.clone());
        let limit = Duration::from_millis(self.limits.drain_timeout_ms);
        spawn(Queue::Net, async move {
            let left = connections.drained(limit).await;
            reports.send((core, Report::Drained { left }));
        });
    }

    /// Waits for disk operations that a failed step has left under way, and closes the files.
    async fn leave(self) {
        if let Some(shard) = &self.shard {
            while !shard.files.is_idle() {
                drop(shard.files.take());
                sleep(Duration::from_millis(1)).await;
            }
        }
        self.disk.close();
    }

    fn shard(&self) -> &Shard<F> {
        self.shard.as_ref().expect("recovered before")
    }

    fn report(&self, report: Report) {
        self.reports.send((self.core, report));
    }
}
