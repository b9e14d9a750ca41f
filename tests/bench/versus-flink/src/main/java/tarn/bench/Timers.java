package tarn.bench;

import java.util.Collections;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ScheduledFuture;
import org.apache.flink.api.common.typeutils.base.LongSerializer;
import org.apache.flink.runtime.metrics.groups.UnregisteredMetricGroups;
import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.runtime.state.VoidNamespaceSerializer;
import org.apache.flink.streaming.api.operators.InternalTimeServiceManagerImpl;
import org.apache.flink.streaming.api.operators.InternalTimer;
import org.apache.flink.streaming.api.operators.InternalTimerService;
import org.apache.flink.streaming.api.operators.KeyContext;
import org.apache.flink.streaming.api.operators.Triggerable;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.tasks.ProcessingTimeService;
import org.apache.flink.streaming.runtime.tasks.StreamTaskCancellationContext;
import org.apache.flink.util.clock.Clock;
import org.apache.flink.util.clock.SystemClock;

/** Registers timers at random times, then fires them all; tests/bench/timers_served.c draws the same. */
final class Timers implements Triggerable<Long, VoidNamespace> {
    private static final long HOUR_MS = 3600 * 1000;

    private final Slot slot;
    private final InternalTimeServiceManagerImpl<Long> manager;
    private final InternalTimerService<VoidNamespace> service;
    private long nowMs;
    private long number;
    private long firedCount;
    private long lastMs;
    long checksum;

    Timers(Slot slot) throws Exception {
        this.slot = slot;
        manager =
                InternalTimeServiceManagerImpl.create(
                        UnregisteredMetricGroups.createUnregisteredTaskMetricGroup()
                                .getIOMetricGroup(),
                        slot.backend,
                        Timers.class.getClassLoader(),
                        new CurrentKey(slot),
                        new EventTimeOnly(),
                        Collections.emptyList(),
                        StreamTaskCancellationContext.alwaysRunning());
        service =
                manager.getInternalTimerService(
                        "timers", LongSerializer.INSTANCE, VoidNamespaceSerializer.INSTANCE, this);
    }

    /** Answers "INSERT_NS POLL_NS". */
    String play(long count) throws Exception {
        long beginNs = System.nanoTime();
        for (long i = 0; i < count; i++) {
            long key = Workload.mix(number + i);
            long time = nowMs + 1 + Long.remainderUnsigned(Workload.mix(key), HOUR_MS);
            slot.backend.setCurrentKey(key);
            service.registerEventTimeTimer(VoidNamespace.INSTANCE, time);
        }
        long registeredNs = System.nanoTime();
        number += count;
        firedCount = 0;
        lastMs = nowMs;
        nowMs += HOUR_MS;
        manager.advanceWatermark(new Watermark(nowMs));
        long endNs = System.nanoTime();
        if (firedCount != count) {
            throw new IllegalStateException("fired " + firedCount + " of " + count);
        }
        return (registeredNs - beginNs) + " " + (endNs - registeredNs);
    }

    @Override
    public void onEventTime(InternalTimer<Long, VoidNamespace> timer) {
        if (timer.getTimestamp() < lastMs) {
            throw new IllegalStateException("out of order");
        }
        lastMs = timer.getTimestamp();
        checksum += Workload.mix(timer.getKey() ^ timer.getTimestamp());
        firedCount++;
    }

    @Override
    public void onProcessingTime(InternalTimer<Long, VoidNamespace> timer) {}

    private static final class CurrentKey implements KeyContext {
        private final Slot slot;

        CurrentKey(Slot slot) {
            this.slot = slot;
        }

        @Override
        public void setCurrentKey(Object key) {
            slot.backend.setCurrentKey((Long) key);
        }

        @Override
        public Object getCurrentKey() {
            return slot.backend.getCurrentKey();
        }
    }

    private static final class EventTimeOnly implements ProcessingTimeService {
        @Override
        public Clock getClock() {
            return SystemClock.getInstance();
        }

        @Override
        public ScheduledFuture<?> registerTimer(long timestamp, ProcessingTimeCallback target) {
            throw new UnsupportedOperationException();
        }

        @Override
        public ScheduledFuture<?> scheduleAtFixedRate(
                ProcessingTimeCallback callback, long initialDelay, long period) {
            throw new UnsupportedOperationException();
        }

        @Override
        public ScheduledFuture<?> scheduleWithFixedDelay(
                ProcessingTimeCallback callback, long initialDelay, long period) {
            throw new UnsupportedOperationException();
        }

        @Override
        public CompletableFuture<Void> quiesce() {
            return CompletableFuture.completedFuture(null);
        }
    }
}
