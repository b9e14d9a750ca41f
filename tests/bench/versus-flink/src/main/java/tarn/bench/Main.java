package tarn.bench;

import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A side of a duel, on command: as "tarn-bench WORKLOAD --serve", it answers lines on stdin.
 *
 * <pre>
 *     (start)   ready LOAD_NS
 *     play N    NS
 *     finish    CHECKSUM CPU_NS RSS_PEAK_BYTES
 * </pre>
 *
 * The workload "timers" answers a play by INSERT_NS POLL_NS.
 *
 * Arguments: heap|rocksdb WORKLOAD KEYS SEED MANAGED_BYTES DIRECTORY INPUT. The workload
 * "checkpoint" prints one JSON object and ends; small backends go before it, so that the classes of a
 * snapshot are loaded and compiled.
 */
final class Main {
    private static final int CHECKPOINT_WARM_UPS = 3;
    private static final long WARM_UP_KEYS = 200_000;

    /** What making events has cost: not the backend's doing, and left out on both sides. */
    private static long makingNs;

    private Main() {}

    private static Workload open(Slot slot, String[] arguments) throws Exception {
        String name = arguments[1];
        long keyCount = Long.parseLong(arguments[2]);
        return name.equals("rmw")
                ? new Rmw(slot, keyCount, arguments[6])
                : new Micro(
                        slot,
                        name.substring("micro-".length()),
                        keyCount,
                        Long.parseLong(arguments[3]));
    }

    private static long play(Workload workload, long events) throws Exception {
        long ns = 0;
        ThreadMXBean thread = ManagementFactory.getThreadMXBean();
        for (long left = events; left > 0; left -= Workload.BATCH_EVENTS) {
            int count = (int) Math.min(left, Workload.BATCH_EVENTS);
            long makingBeginNs = thread.getCurrentThreadCpuTime();
            workload.prepare(count);
            makingNs += thread.getCurrentThreadCpuTime() - makingBeginNs;
            long beginNs = System.nanoTime();
            for (int i = 0; i < count; i++) {
                workload.event(i);
            }
            ns += System.nanoTime() - beginNs;
        }
        return ns;
    }

    private static long cpuNs() {
        return ((com.sun.management.OperatingSystemMXBean)
                        ManagementFactory.getOperatingSystemMXBean())
                .getProcessCpuTime();
    }

    private static long peakBytes() throws Exception {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmHWM:")) {
                return Long.parseLong(line.replaceAll("[^0-9]", "")) * 1024;
            }
        }
        return 0;
    }

    private static void answer(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private static void serveTimers(Slot slot) throws Exception {
        Timers timers = new Timers(slot);
        answer("ready 0");
        long cpuBeginNs = cpuNs();
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            if (line.equals("finish")) {
                long cpu = cpuNs() - cpuBeginNs;
                answer(String.format("%016x %d %d", timers.checksum, cpu, peakBytes()));
                return;
            }
            answer(timers.play(Long.parseLong(line.substring(5))));
        }
    }

    /** Answers the figures of a backend of its own. */
    private static String takeCheckpoints(String[] arguments, long keyCount, String name)
            throws Exception {
        Slot slot =
                new Slot(
                        arguments[0],
                        Long.parseLong(arguments[4]),
                        new File(arguments[5], name));
        String figures = Checkpoints.run(slot, keyCount, Long.parseLong(arguments[3]));
        slot.close();
        return figures;
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments[1].equals("checkpoint")) {
            for (int i = 1; i <= CHECKPOINT_WARM_UPS; i++) {
                takeCheckpoints(arguments, WARM_UP_KEYS, "warm-up-" + i);
            }
            answer(takeCheckpoints(arguments, Long.parseLong(arguments[2]), "measured"));
            return;
        }
        Slot slot =
                new Slot(arguments[0], Long.parseLong(arguments[4]), new File(arguments[5]));
        if (arguments[1].equals("timers")) {
            serveTimers(slot);
            slot.close();
            return;
        }
        long beginNs = System.nanoTime();
        Workload workload = open(slot, arguments);
        answer("ready " + (System.nanoTime() - beginNs));
        long cpuBeginNs = cpuNs();
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            if (line.equals("finish")) {
                long cpu = cpuNs() - cpuBeginNs - makingNs;
                long checksum = workload.finish();
                answer(String.format("%016x %d %d", checksum, cpu, peakBytes()));
                break;
            }
            answer(Long.toString(play(workload, Long.parseLong(line.substring(5)))));
        }
        slot.close();
    }
}
