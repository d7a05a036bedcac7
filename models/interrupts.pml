/* Cancelling, timing out, interrupting and killing a worker, with the order in which stores are seen.
 * README.md says what is modelled, what is left out, and what each property means. */

#define TASKS 3
#define LANES 2
#define DISPATCHES 3
#define ATTEMPTS (TASKS * DISPATCHES)
#define ATTEMPT(task, n) (1 + (task) + TASKS * ((n) - 1))
#define TASK_OF(attempt) (((attempt) - 1) % TASKS)

/* The first task has a retry, and runs out of time (or, in the other variant, is cancelled); the
 * second is cancelled; the third is innocent. Each of the first two may also be let be. */
#ifdef FIRST_IS_CANCELLED
#define MAY_TIME_OUT(task) false
#define MAY_BE_CANCELLED(task) ((task) < 2)
#else
#define MAY_TIME_OUT(task) ((task) == 0 && retry_left)
#define MAY_BE_CANCELLED(task) ((task) == 1)
#endif
#define INNOCENT 2

/* In the kernel. */
chan queue = [ATTEMPTS] of { byte };
chan reports = [TASKS] of { byte, byte };    /* attempt, kind */
#define RESULT 1
#define ERROR 2
#define SKIPPED 3
bit sigint;

/* Shared memory. What a processor stores lies in its buffer first, and becomes visible in order. */
bit mark[ATTEMPTS + 1];                      /* arena, written by the pool */
byte interrupt, condemned;                   /* status page, written by the pool */
byte attempt[LANES];                         /* status page, written by the kernel in readv */
bit begun[LANES];                            /* status page, written by the worker */
#define MARK 1
#define INTERRUPT 2
#define CONDEMNED 3
chan pool_stores = [2] of { byte, byte };    /* which word, value (or which mark) */
chan worker_stores = [2] of { byte, bit };   /* which lane's begun, value */

/* The worker. */
#define UP 1
#define KILLED 2                             /* takes no step any more */
#define DEAD 3                               /* has ended */
byte life = UP;
byte current;                                /* Interruptible.attempt */
bit raised;                                  /* TaskCancelled is on its way through the task */
byte working;                                /* the last attempt it has begun */

/* The pool. */
byte dispatches[TASKS];
bit dispatched[TASKS];                       /* in the ledger */
bit retry_left = 1;                          /* of the first task */
byte runs[TASKS];
byte outcome[TASKS];
#define CANCELLED 3
#define CRASHED 4
#define TIMED_OUT 5
#define CURRENT(a) (dispatched[TASK_OF(a)] && ATTEMPT(TASK_OF(a), dispatches[TASK_OF(a)]) == (a))
byte phase[ATTEMPTS + 1];                    /* how far the steps to end it have come */
#define LET_BE 0
#define MARKED 1
#define INTERRUPTED 2
#define TO_BE_KILLED 3
#define SEEN_TO 4
byte older_pool[ATTEMPTS + 1];               /* stores made before this half of the settle time, not yet visible */
byte older_worker[ATTEMPTS + 1];
bit past_middle[ATTEMPTS + 1];
bit asked[TASKS];                            /* its present attempt is to be ended */
bit seen_unbegun[ATTEMPTS + 1];              /* the pool has relied on its being skipped */

inline end_task(t, what) {
    assert(outcome[t] == 0);                 /* EndsOnce */
    outcome[t] = what
}

inline is_right(a) {
    assert(asked[TASK_OF(a)])                /* InterruptsTheRightOne */
}

/* ---------------------------------------------------------------- memory */

/* The settle time is longer than a store lingers, twice over: what had been stored when it began is
 * visible in its middle, and what had been stored until then at its end. */
inline let_settle(a) {
    past_middle[a] = 0;
    let_half_pass(a)
}
inline let_half_pass(a) {
    older_pool[a] = len(pool_stores);
    older_worker[a] = len(worker_stores)
}
#define HALF_OVER(a) (older_pool[a] == 0 && older_worker[a] == 0)
#define SETTLED(a) (past_middle[a] && HALF_OVER(a))
#define MIDDLE(a) :: atomic { SETTLING(a) && !past_middle[a] && HALF_OVER(a) -> past_middle[a] = 1; let_half_pass(a) }
#define SETTLING(a) (phase[a] == MARKED || phase[a] == TO_BE_KILLED)

#define AGE(counter) if :: counter > 0 -> counter-- :: else fi
#define AGE_ALL(counter) AGE(counter[1]); AGE(counter[2]); AGE(counter[4]); AGE(counter[5]); AGE(counter[7]); AGE(counter[8])

proctype Memory() {
    byte word, value;
    bit flag;
end_memory:
    do
    :: atomic {
        pool_stores?word,value;
        if
        :: word == MARK -> mark[value] = 1
        :: word == INTERRUPT -> interrupt = value
        :: word == CONDEMNED -> condemned = value
        fi;
        AGE_ALL(older_pool);
        word = 0; value = 0
    }
    :: atomic { worker_stores?word,flag; begun[word] = flag; AGE_ALL(older_worker); word = 0; flag = 0 }
    MIDDLE(1) MIDDLE(2) MIDDLE(4) MIDDLE(5) MIDDLE(7) MIDDLE(8)
    od
}

/* ---------------------------------------------------------------- worker */

/* A system call that takes a lock: all stores before it are visible after it. */
#define WORKER_FENCE (len(worker_stores) == 0)

/* The signal handler may run between any two steps of the worker. */
proctype Handler() {
end_handler:
    do
    :: atomic {
        sigint && life == UP -> sigint = 0;
        if
        :: current != 0 && interrupt == current -> is_right(current); current = 0; raised = 1
        :: else
        fi
    }
    od
}

proctype Worker() {
    byte a, kind;
    bit lane, taken;

absent:
end_absent:
    life == UP;
    {
        goto top;
top:
end_asleep:
        atomic { WORKER_FENCE && nempty(queue) -> queue?attempt[lane] }
begin:
        atomic {
            a = attempt[lane];
            assert(CURRENT(a));                          /* RunsOnce */
            working = a;
            kind = RESULT;
            worker_stores!lane,1
        }
        atomic { if :: mark[a] -> kind = SKIPPED; goto ended :: else -> current = a fi }
        atomic {
            if
            :: interrupt == a && current == a -> current = 0; raised = 1; is_right(a)
            :: else
            fi;
            if :: raised -> raised = 0; kind = ERROR; goto ended :: else fi;
            assert(!seen_unbegun[a]);                    /* CancelledNeverBegins */
            runs[TASK_OF(a)]++;
            assert(runs[TASK_OF(a)] <= 1 + (TASK_OF(a) == 0))        /* RunsOnce */
        }
        /* It ends by itself; or, once somebody wants it ended, by the interruption, or never. */
        atomic {
            if
            :: true
            :: asked[TASK_OF(a)] -> raised; if :: true :: false fi
            fi;
            current = 0;
            if :: raised -> raised = 0; kind = ERROR :: else fi
        }
ended:
        atomic {
            if
            :: WORKER_FENCE && nempty(queue) && condemned == 0 -> queue?attempt[1 - lane]; taken = 1
            :: true
            fi
        }
        atomic { WORKER_FENCE -> reports!a,kind; kind = 0 }
        worker_stores!lane,0;
        if :: condemned != 0 -> condemned != a :: condemned == 0 fi;
        atomic { lane = 1 - lane; a = 0; if :: taken -> taken = 0; goto begin :: else -> goto top fi }
    } unless {
        atomic { life == KILLED -> life = DEAD; lane = 0; taken = 0; a = 0; kind = 0; goto absent }
    }
}

/* ------------------------------------------------------------------ pool */

#define POOL_FENCE (len(pool_stores) == 0)

inline dispatch(t) {
    dispatches[t]++;
    dispatched[t] = 1;
    asked[t] = 0;
    mark[ATTEMPT(t, dispatches[t])] = 0;     /* a new record in the arena */
    queue!ATTEMPT(t, dispatches[t])
}

inline fail_or_retry(t, what) {
    if
    :: t == 0 && retry_left -> retry_left = 0; dispatch(t)
    :: else -> end_task(t, what)
    fi
}

inline interrupt_attempt(a) {
    asked[TASK_OF(a)] = 1;
    pool_stores!MARK,a;
    phase[a] = MARKED;
    let_settle(a)
}

/* Read a lane of the status page; the attempt twice, or begun may be that of its successor. */
inline read_lane(lane) {
    do
    :: seen = attempt[lane];
       seen_begun = begun[lane];
       atomic {
        if
        :: attempt[lane] == seen ->
            if :: seen == a && seen_begun && CURRENT(a) -> found = 1 :: else fi;
            seen = 0; seen_begun = 0;
            break
        :: else
        fi
       }
    od
}

/* Has the worker begun attempt `a`, and not ended it? */
inline look_for_it() {
    read_lane(0);
    read_lane(1)
}

inline handle_report() {
    if
    :: CURRENT(a) ->
        t = TASK_OF(a);
        dispatched[t] = 0;
        if
        :: outcome[t] != 0                   /* cancelled: what comes late goes nowhere */
        :: outcome[t] == 0 && kind == RESULT -> end_task(t, RESULT)
        :: outcome[t] == 0 && kind != RESULT -> fail_or_retry(t, TIMED_OUT)
        fi
    :: else                                  /* stale */
    fi;
    /* Timers of an attempt that has ended find nothing; but a condemnation must be taken back. */
    if :: phase[a] != TO_BE_KILLED -> phase[a] = SEEN_TO :: else fi;
    a = 0; t = 0; kind = 0
}

inline account_for(lane) {
    a = attempt[lane];
    if
    :: a != 0 && CURRENT(a) ->
        t = TASK_OF(a);
        dispatched[t] = 0;
        if
        :: outcome[t] != 0
        :: outcome[t] == 0 && begun[lane] -> fail_or_retry(t, CRASHED)
        :: outcome[t] == 0 && !begun[lane] -> dispatch(t)
        fi
    :: else
    fi;
    attempt[lane] = 0;
    begun[lane] = 0
}

#define HAS_BEGUN(a) ((attempt[0] == a && begun[0]) || (attempt[1] == a && begun[1]))
#define REST a = 0; t = 0; kind = 0; found = 0; goto rest
#define OF_TASK(t) ATTEMPT(t, dispatches[t])
#define MAY_CANCEL(t) (MAY_BE_CANCELLED(t) && outcome[t] == 0)
#define OVER(t) (outcome[t] != 0 && !dispatched[t])
#define AT_WORK(a) (phase[a] != LET_BE && phase[a] != SEEN_TO)
#define TIMER(n, which, where) :: atomic { phase[n] == which && (!SETTLING(n) || SETTLED(n)) -> a = n; goto where }
#define TIMERS(which, where) TIMER(1, which, where) TIMER(2, which, where) TIMER(4, which, where) \
    TIMER(5, which, where) TIMER(7, which, where) TIMER(8, which, where)
#define ALL_SEEN_TO !(AT_WORK(1) || AT_WORK(2) || AT_WORK(4) || AT_WORK(5) || AT_WORK(7) || AT_WORK(8))

proctype Pool() {
    byte a, t, kind, seen, spoken;           /* `spoken`: what it has stored as condemned */
    bit seen_begun, found;

rest:
    do
    :: atomic { OVER(0) && OVER(1) && OVER(2) && ALL_SEEN_TO -> break }
    /* A user cancels; somebody's time is up. */
    :: atomic { MAY_CANCEL(0) -> t = 0; goto cancel }
    :: atomic { MAY_CANCEL(1) -> t = 1; goto cancel }
    :: atomic {
        MAY_TIME_OUT(0) && dispatched[0] && outcome[0] == 0 && phase[OF_TASK(0)] == LET_BE && HAS_BEGUN(OF_TASK(0)) ->
        interrupt_attempt(OF_TASK(0))
    }
    /* A timer fires. */
    TIMERS(MARKED, look)
    TIMERS(INTERRUPTED, condemn)
    TIMERS(TO_BE_KILLED, execute)
    /* A report comes; a worker has ended. */
    :: atomic { life == UP && nempty(reports) -> reports?a,kind; handle_report() }
    :: atomic { life == DEAD && WORKER_FENCE && POOL_FENCE -> goto bury }
    od;
    goto over;
cancel:
    atomic {
        end_task(t, CANCELLED);
        if :: dispatched[t] && phase[OF_TASK(t)] == LET_BE -> interrupt_attempt(OF_TASK(t)) :: else fi;
        REST
    }
look:
    look_for_it();
    atomic {
        past_middle[a] = 0;
        if
        :: found -> pool_stores!INTERRUPT,a
        :: else -> seen_unbegun[a] = CURRENT(a); phase[a] = SEEN_TO; REST
        fi
    }
    atomic { POOL_FENCE -> sigint = 1; phase[a] = INTERRUPTED; REST }
condemn:
    look_for_it();
    atomic {
        if
        :: found -> spoken = a; pool_stores!CONDEMNED,a; phase[a] = TO_BE_KILLED; let_settle(a)
        :: else -> phase[a] = SEEN_TO
        fi;
        REST
    }
execute:
    look_for_it();
    atomic {
        if
        :: found && life == UP -> assert(working == a); life = KILLED        /* KillsTheRightOne */
        :: found && life != UP
        :: !found && spoken == a -> spoken = 0; pool_stores!CONDEMNED,0
        :: !found && spoken != a
        fi;
        past_middle[a] = 0;
        phase[a] = SEEN_TO;
        REST
    }
bury:
    atomic {
        do
        :: nempty(reports) -> reports?a,kind; handle_report()
        :: empty(reports) -> break
        od;
        account_for(0);
        account_for(1);
        interrupt = 0; condemned = 0; spoken = 0; sigint = 0; current = 0; raised = 0; working = 0;
        life = UP;
        REST
    }
over:
    assert(outcome[INNOCENT] == RESULT)      /* InnocentUnharmed */
}

init {
    atomic {
        byte t;
        for (t : 0 .. TASKS - 1) { dispatch(t) }
        run Memory(); run Handler(); run Worker(); run Pool()
    }
}
